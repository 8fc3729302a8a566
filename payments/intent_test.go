package payments_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// While a bank makes up its mind, or a person looks at the money, the customer must not
// be sent to pay once more.
func TestNoSecondSessionOnceTheFirstIsCompleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	for i, change := range []map[string]any{{"payment_status": "unpaid"}, {"amount_total": price - 1}} {
		b := w.hold(i)
		c := w.checkout(b)
		require.Equal(t, http.StatusOK, w.send("evt_"+b.ID, "checkout.session.completed", session(c, change)))
		require.Equal(t, booking.Pending, w.status(b.ID))
		_, err := w.payments.Checkout(t.Context(), b.ID)
		require.ErrorIs(t, err, payments.ErrNotPayable)
		require.Len(t, w.stripe.Sessions(), i+1)
	}
}

// The session of a hold whose time has passed is about to be ended: nobody is sent there
// any more.
func TestNoSessionOnceTheHoldHasLapsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	w.checkout(b)
	w.endHold(b.ID)
	_, err := w.payments.Checkout(t.Context(), b.ID)
	require.ErrorIs(t, err, booking.ErrHoldExpired)
}

// Whatever happens to a booking after Checkout has looked at it decides: no session is
// made for what another transaction ends or completes in that moment.
func TestCheckoutMeetsAnotherTransaction(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		began bool
		sql   string
		want  error
	}{
		"cancelled": {
			sql:  `UPDATE booking_platform.bookings SET status = 'cancelled' WHERE id = $1::uuid`,
			want: payments.ErrNotPayable,
		},
		"completed by a delayed method": {
			began: true,
			sql:   `UPDATE booking_platform.payments SET completed = true WHERE booking_id = $1::uuid`,
			want:  payments.ErrNotPayable,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{})
			b := w.hold(0)
			if c.began {
				w.checkout(b)
			}
			sessions := len(w.stripe.Sessions())
			tx, err := w.db.Begin()
			require.NoError(t, err)
			defer func() { _ = tx.Rollback() }()
			_, err = tx.Exec(`SELECT id FROM booking_platform.bookings WHERE id = $1::uuid FOR NO KEY UPDATE`, b.ID)
			require.NoError(t, err)
			_, err = tx.Exec(c.sql, b.ID)
			require.NoError(t, err)
			answer := make(chan error, 1)
			go func() {
				_, err := w.payments.Checkout(t.Context(), b.ID)
				answer <- err
			}()
			w.awaitWaiting(1)
			require.NoError(t, tx.Commit())
			require.ErrorIs(t, <-answer, c.want)
			require.Len(t, w.stripe.Sessions(), sessions)
		})
	}
}

// A hold may last for 30 days, and a session for one.
func TestSessionOfALongHoldEndsWithinADay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	w.exec(`UPDATE booking_platform.bookings SET hold_expires_at = statement_timestamp() + interval '30 days' WHERE id = $1::uuid`, b.ID)
	c := w.checkout(b)
	require.WithinDuration(t, time.Now().Add(24*time.Hour), c.ExpiresAt, 10*time.Minute)
}
