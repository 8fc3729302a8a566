package payments_test

import (
	"testing"

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

	// The other one cancels, and a second event of the late session finds the slot free:
	// its money has gone back all the same.
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

// M17: money that comes after the start of the slot goes back in full, although the hold
// still has its units and its row says that it lasts longer; the booking is not
// confirmed.
func TestPayment_AfterTheStartOfTheSlot(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(w *world, c payments.Checkout){
		"completed": func(w *world, c payments.Checkout) { w.pay(c) },
		"a delayed method": func(w *world, c payments.Checkout) {
			require.Equal(w.t, 200, w.send("evt_async", "checkout.session.async_payment_succeeded", session(c, nil)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{})
			b := w.hold(0)
			c := w.checkout(b)
			w.exec(`UPDATE booking_platform.bookings SET during = tstzrange(statement_timestamp() - interval '1 minute', upper(during)),
				blocked = tstzrange(statement_timestamp() - interval '1 minute', upper(blocked)) WHERE id = $1::uuid`,
				b.ID)
			send(w, c)
			require.Equal(t, booking.Expired, w.status(b.ID))
			p := w.payment(b.ID)
			require.Equal(t, payments.ReasonLate, p.Unapplied)
			require.Len(t, w.refundsOf(p), 1)
			require.EqualValues(t, price, w.refundsOf(p)[0].Amount.Minor)
		})
	}
}

// M17: a bank that makes up its mind for longer than until the start does not keep the
// hold.
func TestPayment_ProcessingEndsWithTheStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	c := w.checkout(b)
	require.Equal(t, 200, w.send("evt_1", "checkout.session.completed",
		session(c, map[string]any{"payment_status": "unpaid"})))
	got, err := w.bookings.Get(t.Context(), b.ID)
	require.NoError(t, err)
	require.Equal(t, b.Start, got.HoldExpiresAt)
}
