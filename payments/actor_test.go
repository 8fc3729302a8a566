package payments_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
)

// actors are who made the changes of a booking, the oldest first.
func (w *world) actors(id string) (all []string) {
	w.t.Helper()
	changes, err := w.bookings.History(w.t.Context(), id)
	require.NoError(w.t, err)
	for _, c := range changes {
		all = append(all, string(c.To)+" by "+c.Actor)
	}
	return all
}

// overUnheard ends a hold and keeps Stripe's events back: none ends it before the step
// does.
func (w *world) overUnheard(b booking.Booking) {
	w.t.Helper()
	w.endHold(b.ID)
	w.stripe.HoldDelivery()
}

// The history says which event of Stripe's did it.
func TestHistoryNamesTheEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	paid, left, gone := w.hold(0), w.hold(1), w.hold(2)
	w.checkout(gone)
	require.Equal(t, 200, w.send("evt_paid", "checkout.session.completed", session(w.checkout(paid), nil)))
	require.Equal(t, []string{"pending by ", "confirmed by stripe:evt_paid"}, w.actors(paid.ID))
	require.Equal(t, 200, w.send("evt_left", "checkout.session.expired",
		session(w.checkout(left), map[string]any{"payment_status": "unpaid"})))
	require.Equal(t, []string{"pending by ", "expired by stripe:evt_left"}, w.actors(left.ID))

	w.overUnheard(gone)
	ended, err := w.payments.ExpireSessions(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, ended)
	require.Equal(t, []string{"pending by ", "expired by payments"}, w.actors(gone.ID))
}

// Whoever runs an event again may say who they are.
func TestHistoryNamesTheCallersActor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	w.checkout(b)
	w.overUnheard(b)
	_, err := w.payments.ExpireSessions(booking.WithActor(t.Context(), "user:ops@example.com"))
	require.NoError(t, err)
	require.Equal(t, []string{"pending by ", "expired by user:ops@example.com"}, w.actors(b.ID))
}
