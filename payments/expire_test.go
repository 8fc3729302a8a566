package payments_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

func TestExpireSessionsEndsWhatHasNoHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	ended, running, cancelled, paid := w.hold(0), w.hold(1), w.hold(2), w.hold(3)
	for _, b := range []booking.Booking{ended, running, cancelled, paid} {
		w.checkout(b)
	}
	w.pay(w.checkout(paid))
	w.endHold(ended.ID)
	_, err := w.bookings.Cancel(t.Context(), cancelled.ID, "")
	require.NoError(t, err)

	// Three replicas at once end each session once.
	var wg sync.WaitGroup
	counts := make([]int, 3)
	errs := make([]error, 3)
	for i := range counts {
		wg.Go(func() { counts[i], errs[i] = w.payments.ExpireSessions(t.Context()) })
	}
	wg.Wait()
	total := 0
	for i := range counts {
		require.NoError(t, errs[i])
		total += counts[i]
	}
	require.Equal(t, 2, total)
	require.Equal(t, booking.Expired, w.status(ended.ID))
	require.Equal(t, booking.Cancelled, w.status(cancelled.ID))
	require.Equal(t, booking.Pending, w.status(running.ID))
	require.Equal(t, payments.Open, w.payment(running.ID).Status())
	require.Equal(t, booking.Confirmed, w.status(paid.ID))
	w.hold(0)
}

// The customer paid between our look and our call: Stripe refuses to end the session, and the payment wins.
func TestExpireRefusedBecauseTheCustomerJustPaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	c := w.checkout(b)
	w.endHold(b.ID)
	// Paid at Stripe; its event has not reached us.
	w.exec(`ALTER TABLE booking_platform.payment_events RENAME TO payment_events_away`)
	w.pay(c)
	n, err := w.payments.ExpireSessions(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	require.Equal(t, booking.Pending, w.status(b.ID))
	w.exec(`ALTER TABLE booking_platform.payment_events_away RENAME TO payment_events`)
	for _, e := range w.stripe.Events() {
		_, err := w.stripe.Resend(t.Context(), e.ID, 1)
		require.NoError(t, err)
	}
	require.Equal(t, booking.Confirmed, w.status(b.ID))
	require.Equal(t, payments.Paid, w.payment(b.ID).Status())
}

// A host died between the intent and Stripe's answer.
func TestUnbegunPaymentIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	c := w.checkout(b)
	w.exec(`UPDATE booking_platform.payments SET stripe_session_id = NULL, session_expires_at = statement_timestamp() - interval '1 second' WHERE id = $1::uuid`, c.PaymentID)
	_, err := w.payments.ExpireSessions(t.Context())
	require.NoError(t, err)
	require.Equal(t, payments.Expired, w.payment(b.ID).Status())
	require.Equal(t, booking.Pending, w.status(b.ID))
}
