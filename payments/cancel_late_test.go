package payments_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// policy sets the resource's policy, for the holds that are made from now on.
func (w *world) policy(p booking.Policy) {
	w.t.Helper()
	r, err := w.bookings.Resource(w.t.Context(), w.resource.ID)
	require.NoError(w.t, err)
	r.Policy = p
	_, err = w.bookings.ApplyResource(w.t.Context(), r, booking.ApplyOptions{})
	require.NoError(w.t, err)
}

// M22: a customer cancels while a bank debit is under way, or before the card's event has
// come: what the policy keeps is kept when the money comes. Staff waive it.
func TestCancel_BeforeTheMoneyIsKnown(t *testing.T) {
	t.Parallel()
	minor := func(n int64) *int64 { return &n }
	for name, test := range map[string]struct {
		policy booking.Policy
		req    booking.CancelRequest
		want   int64
		slow   bool // the method is a delayed one; else a card, whose event comes late
	}{
		"free":       {booking.Policy{}, booking.CancelRequest{ByCustomer: true}, price, false},
		"free, slow": {booking.Policy{}, booking.CancelRequest{ByCustomer: true}, price, true},
		"half": {booking.Policy{FreeUntil: 300 * time.Hour, FeePercent: 50},
			booking.CancelRequest{ByCustomer: true}, price / 2, false},
		"half, slow": {booking.Policy{FreeUntil: 300 * time.Hour, FeePercent: 50},
			booking.CancelRequest{ByCustomer: true}, price / 2, true},
		"all": {booking.Policy{FreeUntil: 300 * time.Hour, FeePercent: 100},
			booking.CancelRequest{ByCustomer: true}, 0, false},
		"all, slow": {booking.Policy{FreeUntil: 300 * time.Hour, FeePercent: 100},
			booking.CancelRequest{ByCustomer: true}, 0, true},
		"never": {booking.Policy{Never: true}, booking.CancelRequest{ByCustomer: true}, 0,
			false},
		"staff waive it": {booking.Policy{FreeUntil: 300 * time.Hour, FeePercent: 100},
			booking.CancelRequest{}, price, false},
		"staff waive it, slow": {booking.Policy{FreeUntil: 300 * time.Hour, FeePercent: 100},
			booking.CancelRequest{}, price, true},
		"staff say how much, slow": {booking.Policy{FreeUntil: 300 * time.Hour, FeePercent: 100},
			booking.CancelRequest{Refund: minor(700)}, 700, true},
		"staff give nothing back, slow": {booking.Policy{}, booking.CancelRequest{Refund: minor(0)}, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{})
			w.policy(test.policy)
			b := w.hold(0)
			c := w.checkout(b)
			if test.slow {
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
			require.Nil(t, cancelled.Refund, "nothing has come yet")
			if test.slow {
				_, err = w.stripe.SettlePayment(c.SessionID)
				require.NoError(t, err)
			} else {
				_, err = w.stripe.ReleaseDelivery(t.Context(), nil)
				require.NoError(t, err)
			}
			w.delivered()
			require.Equal(t, booking.Cancelled, w.status(b.ID))
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
			// Another event of the session changes nothing, and cancelling again neither.
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

// M22: the policy says whether a customer may cancel, as soon as a delayed method is
// under way.
func TestCancel_PolicyRefusesWhileTheBankIsAtWork(t *testing.T) {
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
	require.Equal(t, booking.Pending, w.status(b.ID))
	_, err = w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID})
	require.NoError(t, err, "staff are not bound")
}

// M22: who pays after cancelling, in a page that was still open, gets everything back.
func TestCancel_AndThenPaid(t *testing.T) {
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

// M22: no event comes, and Stripe is asked: the policy binds all the same.
func TestCancel_AndStripeIsAsked(t *testing.T) {
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
	require.Equal(t, payments.Paid, p.Status())
	require.EqualValues(t, price*60/100, w.refundsOf(p)[0].Amount.Minor)
	require.Equal(t, payments.CauseCancelled, w.refundsOf(p)[0].Cause)
}
