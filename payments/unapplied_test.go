package payments_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// release lets a hold's time pass, and gives its slot back.
func (w *world) release(id string) {
	w.t.Helper()
	w.endHold(id)
	_, err := w.bookings.ReleaseExpired(w.t.Context())
	require.NoError(w.t, err)
	require.Equal(w.t, booking.Expired, w.status(id))
}

func TestLatePaymentTakesTheSlotAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	c := w.checkout(b)
	w.release(b.ID)
	w.pay(c)
	require.Equal(t, booking.Confirmed, w.status(b.ID))
	p := w.payment(b.ID)
	require.Equal(t, payments.Paid, p.Status())
	require.Empty(t, p.Unapplied)
	require.Empty(t, w.refundsOf(p))
}

func TestPaymentAfterTheSlotWasSoldAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	late := w.hold(0)
	c := w.checkout(late)
	w.release(late.ID)
	other, _ := w.paid(0)
	w.pay(c)
	require.Equal(t, booking.Expired, w.status(late.ID))
	require.Equal(t, booking.Confirmed, w.status(other.ID))
	p := w.payment(late.ID)
	require.Equal(t, payments.ReasonLate, p.Unapplied)
	w.settle(1)
	require.Equal(t, payments.Refunded, w.payment(late.ID).Status())
	require.Equal(t, stripetest.Money{Captured: 2 * price, Refunded: price}, w.stripe.Balance()["eur"])

	// The other one cancels, and a second event of the late session finds the slot free: its money has gone back all the same.
	_, err := w.bookings.Cancel(t.Context(), booking.CancelRequest{ID: other.ID})
	require.NoError(t, err)
	require.Equal(t, 200, w.send("evt_again", "checkout.session.async_payment_succeeded", session(c, nil)))
	require.Equal(t, booking.Expired, w.status(late.ID))
	require.Len(t, w.refundsOf(p), 1, "one full refund")
	w.requireBooks()
}

func TestPaymentForACancelledBooking(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	c := w.checkout(b)
	_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, ByCustomer: true})
	require.NoError(t, err)
	w.pay(c)
	require.Equal(t, booking.Cancelled, w.status(b.ID))
	require.Equal(t, payments.ReasonCancelled, w.payment(b.ID).Unapplied)
	w.settle(1)
	require.Equal(t, payments.Refunded, w.payment(b.ID).Status())
	w.requireBooks()
}

// The payment races the release of its hold, and a second customer waits for the slot: the payment is confirmed or refunded in full, and never
// neither; the slot is sold once.
func TestPaymentAtTheHoldsLastMoment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	const races = 60
	confirmed := 0
	for n := range races {
		b := w.hold(n)
		c := w.checkout(b)
		w.endHold(b.ID)
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := w.stripe.Pay(t.Context(), c.SessionID)
			if err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, err := w.bookings.ReleaseExpired(t.Context()); err != nil {
				t.Error(err)
			}
		})
		var second booking.Booking
		var taken error
		wg.Go(func() {
			second, taken = w.bookings.Hold(t.Context(), booking.HoldRequest{Resource: w.resource.ID, Start: slot(n), Customer: ada})
		})
		wg.Wait()
		require.NoError(t, w.stripe.WaitDelivered(t.Context()))
		p := w.payment(b.ID)
		switch w.status(b.ID) {
		case booking.Confirmed:
			confirmed++
			require.ErrorIs(t, taken, booking.ErrSlotTaken)
			require.Empty(t, p.Unapplied)
			require.Empty(t, w.refundsOf(p))
		case booking.Expired:
			require.NoError(t, taken)
			require.NotEmpty(t, second.ID)
			require.Equal(t, payments.ReasonLate, p.Unapplied)
			require.EqualValues(t, price, w.refundsOf(p)[0].Amount.Minor)
		default:
			t.Fatal(w.status(b.ID))
		}
	}
	for {
		made, err := w.payments.SettleRefunds(t.Context())
		require.NoError(t, err)
		if made == 0 {
			break
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, w.stripe.WaitDelivered(ctx))
	require.EqualValues(t, int64(confirmed)*price, w.stripe.Balance()["eur"].Kept())
	w.requireBooks()
	t.Logf("%d of %d payments were in time", confirmed, races)
}
