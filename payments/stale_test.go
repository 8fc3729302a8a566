package payments_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// The second event of a paid session waits for the booking while the first is applied and
// the booking is cancelled by staff. It must judge by what is there when its turn comes:
// the money was applied, and is no longer an operator's riddle.
func TestSecondEventSeesWhatTheFirstDid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	c := w.checkout(b)
	tx, err := w.db.Begin()
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	_, err = tx.Exec(`SELECT id FROM booking_platform.bookings WHERE id = $1::uuid FOR NO KEY UPDATE`, b.ID)
	require.NoError(t, err)
	status := make(chan int, 1)
	go func() { status <- w.send("evt_second", "checkout.session.async_payment_succeeded", session(c, nil)) }()
	w.awaitWaiting(1)
	_, err = tx.Exec(`UPDATE booking_platform.bookings SET status = 'cancelled' WHERE id = $1::uuid`, b.ID)
	require.NoError(t, err)
	_, err = tx.Exec(`UPDATE booking_platform.payments SET completed = true, captured_minor = amount_minor WHERE id = $1::uuid`, c.PaymentID)
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	require.Equal(t, http.StatusOK, <-status)
	require.Equal(t, booking.Cancelled, w.status(b.ID))
	require.Equal(t, payments.Paid, w.payment(b.ID).Status())
	require.Equal(t, map[string]int{"checkout.session.async_payment_succeeded processed": 1}, w.outcomes())
}
