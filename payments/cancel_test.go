package payments_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

func (w *world) halfAfter(d time.Duration) {
	w.t.Helper()
	r, err := w.bookings.Resource(w.t.Context(), w.resource.ID)
	require.NoError(w.t, err)
	r.Policy = booking.Policy{FreeUntil: d, FeePercent: 50}
	_, err = w.bookings.ApplyResource(w.t.Context(), r, booking.ApplyOptions{})
	require.NoError(w.t, err)
}

func TestCancel_RefundsByPolicy(t *testing.T) {
	t.Parallel()
	half := int64(price / 2)
	for name, test := range map[string]struct {
		policy time.Duration
		req    booking.CancelRequest
		want   int64
	}{
		"customer, free":       {time.Hour, booking.CancelRequest{ByCustomer: true}, price},
		"customer, half":       {300 * time.Hour, booking.CancelRequest{ByCustomer: true}, half},
		"staff":                {300 * time.Hour, booking.CancelRequest{Reason: "rain"}, price},
		"staff refund half":    {time.Hour, booking.CancelRequest{Refund: &half}, half},
		"staff refund nothing": {time.Hour, booking.CancelRequest{Refund: new(int64)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{})
			w.halfAfter(test.policy)
			b, p := w.paid(0)
			test.req.ID = b.ID
			ctx := booking.WithActor(t.Context(), "customer")
			for range 2 {
				cancelled, err := w.payments.Cancel(ctx, test.req)
				require.NoError(t, err)
				require.Equal(t, booking.StatusCancelled, cancelled.Status)
				require.Equal(t, test.want, cancelled.Refund.Minor)
			}
			if test.want == 0 {
				require.Empty(t, w.refundsOf(p))
				w.settle(0)
				return
			}
			w.settle(1)
			require.Len(t, w.refundsOf(p), 1)
			require.Equal(t, "customer", w.refundsOf(p)[0].Actor)
			require.Equal(t, payments.CauseCancelled, w.refundsOf(p)[0].Cause)
			require.Equal(t, test.want, w.stripe.Balance()["eur"].Refunded)
			w.requireBooks()
		})
	}
}

// Earlier refunds count: no more than the rest is refunded.
func TestCancel_AfterPartialRefund(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b, p := w.paid(0)
	w.refund(p, 2000, "case 1")
	_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID})
	require.NoError(t, err)
	w.settle(2)
	require.EqualValues(t, price, w.stripe.Balance()["eur"].Refunded)
	w.requireBooks()
}

// One refund in full, by whichever is second.
func TestCancel_ConcurrentWithPaidEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	for n := range 20 {
		b := w.hold(n)
		c := w.checkout(b)
		var wg sync.WaitGroup
		wg.Go(func() { w.pay(c) })
		wg.Go(func() {
			if _, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, ByCustomer: true}); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		require.Equal(t, booking.StatusCancelled, w.status(b.ID))
		require.Len(t, w.refundsOf(w.payment(b.ID)), 1)
	}
	w.settle(20)
	require.Zero(t, w.stripe.Balance()["eur"].Kept())
	w.requireBooks()
}

func TestCancel_Refused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: "0193b3a0-0000-7000-8000-000000000000"})
	require.ErrorIs(t, err, booking.ErrNotFound)
	b, p := w.paid(0)
	_, err = w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, Reason: "\x00"})
	var invalid *booking.ValidationError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
	require.Empty(t, w.refundsOf(p))
}

func (w *world) policy(p booking.Policy) {
	w.t.Helper()
	r, err := w.bookings.Resource(w.t.Context(), w.resource.ID)
	require.NoError(w.t, err)
	r.Policy = p
	_, err = w.bookings.ApplyResource(w.t.Context(), r, booking.ApplyOptions{})
	require.NoError(w.t, err)
}

// M22: A customer cancels while a bank debit is processing, or before the card's event:
// the policy's fee is kept when the money comes. Staff waive it.
func TestCancel_BeforePaidEvent(t *testing.T) {
	t.Parallel()
	minor := func(n int64) *int64 { return &n }
	for name, test := range map[string]struct {
		policy  booking.Policy
		req     booking.CancelRequest
		want    int64
		delayed bool // a bank debit; otherwise a card, whose event comes late
	}{
		"free":          {booking.Policy{}, booking.CancelRequest{ByCustomer: true}, price, false},
		"free, delayed": {booking.Policy{}, booking.CancelRequest{ByCustomer: true}, price, true},
		"half": {booking.Policy{FreeUntil: 300 * time.Hour, FeePercent: 50},
			booking.CancelRequest{ByCustomer: true}, price / 2, false},
		"half, delayed": {booking.Policy{FreeUntil: 300 * time.Hour, FeePercent: 50},
			booking.CancelRequest{ByCustomer: true}, price / 2, true},
		"all": {booking.Policy{FreeUntil: 300 * time.Hour, FeePercent: 100},
			booking.CancelRequest{ByCustomer: true}, 0, false},
		"all, delayed": {booking.Policy{FreeUntil: 300 * time.Hour, FeePercent: 100},
			booking.CancelRequest{ByCustomer: true}, 0, true},
		"never": {booking.Policy{Never: true}, booking.CancelRequest{ByCustomer: true}, 0,
			false},
		"staff waive it": {booking.Policy{FreeUntil: 300 * time.Hour, FeePercent: 100},
			booking.CancelRequest{}, price, false},
		"staff waive it, delayed": {booking.Policy{FreeUntil: 300 * time.Hour, FeePercent: 100},
			booking.CancelRequest{}, price, true},
		"staff set the amount, delayed": {booking.Policy{FreeUntil: 300 * time.Hour, FeePercent: 100},
			booking.CancelRequest{Refund: minor(700)}, 700, true},
		"staff refund nothing, delayed": {booking.Policy{}, booking.CancelRequest{Refund: minor(0)}, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{})
			w.policy(test.policy)
			b := w.hold(0)
			c := w.checkout(b)
			if test.delayed {
				_, err := w.stripe.PayDelayed(t.Context(), c.SessionID)
				require.NoError(t, err)
				w.delivered()
			} else {
				w.stripe.HoldDelivery()
				w.pay(c)
			}
			test.req.ID = b.ID
			cancelled, err := w.payments.Cancel(t.Context(), test.req)
			require.NoError(t, err)
			require.Nil(t, cancelled.Refund, "not paid yet")
			if test.delayed {
				_, err = w.stripe.SettlePayment(c.SessionID)
				require.NoError(t, err)
			} else {
				_, err = w.stripe.ReleaseDelivery(t.Context(), nil)
				require.NoError(t, err)
			}
			w.delivered()
			require.Equal(t, booking.StatusCancelled, w.status(b.ID))
			p := w.payment(b.ID)
			made := 1
			if test.want == 0 {
				made = 0
			}
			w.settle(made)
			require.EqualValues(t, test.want, w.stripe.Balance()["eur"].Refunded)
			b, err = w.bookings.Get(t.Context(), b.ID)
			require.NoError(t, err)
			if test.want == price {
				require.Equal(t, payments.ReasonCancelled, p.Unapplied)
			} else {
				require.Empty(t, p.Unapplied)
				require.Equal(t, test.want, b.Refund.Minor)
				require.EqualValues(t, price-test.want, w.stripe.Balance()["eur"].Kept())
			}
			// Another event of the session, and another cancellation, change nothing.
			require.Equal(t, http.StatusOK,
				w.send("evt_again", "checkout.session.async_payment_succeeded", session(c, nil)))
			_, err = w.payments.Cancel(t.Context(), test.req)
			require.NoError(t, err)
			w.settle(0)
			require.Len(t, w.refundsOf(p), made)
			require.Zero(t, w.backlog().Parked)
			w.requireBooks()
		})
	}
}

// M22: The policy applies as soon as a delayed payment is processing.
func TestCancel_PolicyWhileProcessing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	w.policy(booking.Policy{Never: true})
	b := w.hold(0)
	c := w.checkout(b)
	_, err := w.stripe.PayDelayed(t.Context(), c.SessionID)
	require.NoError(t, err)
	w.delivered()
	_, err = w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, ByCustomer: true})
	require.ErrorIs(t, err, booking.ErrPolicy)
	require.Equal(t, booking.StatusPending, w.status(b.ID))
	_, err = w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID})
	require.NoError(t, err, "the policy does not bind staff")
}

// M22: A customer who pays in an open page after cancelling is refunded in full.
func TestCancel_PaidAfterwards(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	w.policy(booking.Policy{FreeUntil: 300 * time.Hour, FeePercent: 100})
	b := w.hold(0)
	c := w.checkout(b)
	_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, ByCustomer: true})
	require.NoError(t, err)
	w.exec(`UPDATE booking_platform.booking_history SET at = at - interval '5 seconds'`)
	w.pay(c)
	require.Equal(t, payments.ReasonCancelled, w.payment(b.ID).Unapplied)
	w.settle(1)
	require.Zero(t, w.stripe.Balance()["eur"].Kept())
	w.requireBooks()
}

// M22: Without an event, reconciliation applies the policy.
func TestCancel_Reconciled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	w.policy(booking.Policy{FreeUntil: 300 * time.Hour, FeePercent: 40})
	b := w.hold(0)
	c := w.checkout(b)
	w.stripe.HoldDelivery()
	w.pay(c)
	_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, ByCustomer: true})
	require.NoError(t, err)
	require.NoError(t, refreshSession(t.Context(), w.payments, c.SessionID))
	p := w.payment(b.ID)
	require.Equal(t, payments.StatusPaid, p.Status())
	require.EqualValues(t, price*60/100, w.refundsOf(p)[0].Amount.Minor)
	require.Equal(t, payments.CauseCancelled, w.refundsOf(p)[0].Cause)
}
