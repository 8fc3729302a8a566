package payments_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// halfAfter keeps half of the price from now on.
func (w *world) halfAfter(d time.Duration) {
	w.t.Helper()
	r, err := w.bookings.Resource(w.t.Context(), w.resource.ID)
	require.NoError(w.t, err)
	r.Policy = booking.Policy{FreeUntil: d, FeePercent: 50}
	_, err = w.bookings.ApplyResource(w.t.Context(), r, booking.ApplyOptions{})
	require.NoError(w.t, err)
}

func TestCancelGivesBackWhatThePolicySays(t *testing.T) {
	t.Parallel()
	half := int64(price / 2)
	for name, test := range map[string]struct {
		policy time.Duration
		req    booking.CancelRequest
		want   int64
	}{
		"customer, free":     {time.Hour, booking.CancelRequest{ByCustomer: true}, price},
		"customer, half":     {300 * time.Hour, booking.CancelRequest{ByCustomer: true}, half},
		"staff":              {300 * time.Hour, booking.CancelRequest{Reason: "rain"}, price},
		"staff give half":    {time.Hour, booking.CancelRequest{Refund: &half}, half},
		"staff give nothing": {time.Hour, booking.CancelRequest{Refund: new(int64)}, 0},
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
				require.Equal(t, booking.Cancelled, cancelled.Status)
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

// What was given back before counts: no more than the rest goes back.
func TestCancelAfterAPartialRefund(t *testing.T) {
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

// The customer cancels in the moment in which the money comes: it goes back in full,
// once, by whichever of the two comes second.
func TestCancelAgainstThePaymentsEvent(t *testing.T) {
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
		require.Equal(t, booking.Cancelled, w.status(b.ID))
		require.Len(t, w.refundsOf(w.payment(b.ID)), 1)
	}
	w.settle(20)
	require.Zero(t, w.stripe.Balance()["eur"].Kept())
	w.requireBooks()
}

func TestCancelRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: "0193b3a0-0000-7000-8000-000000000000"})
	require.ErrorIs(t, err, booking.ErrNotFound)
	b, p := w.paid(0)
	_, err = w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, Reason: "\x00"})
	var invalid *booking.ValidationError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, booking.Confirmed, w.status(b.ID))
	require.Empty(t, w.refundsOf(p))
}
