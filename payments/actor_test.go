package payments_test

import (
	"database/sql"
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

// forgetSession ends a hold whose session Stripe does not know: so no event of Stripe's can end it before the step does.
func (w *world) forgetSession(b booking.Booking) {
	w.t.Helper()
	w.endHold(b.ID)
	w.exec(`UPDATE booking_platform.payments SET stripe_session_id = 'cs_unknown' WHERE booking_id = $1::uuid`, b.ID)
}

// The history says which event of Stripe's did it.
func TestHistoryNamesTheEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	paid, left, gone := w.hold(0), w.hold(1), w.hold(2)
	w.checkout(gone)
	require.Equal(t, 200, w.send("evt_paid", "checkout.session.completed", session(w.checkout(paid), nil)))
	require.Equal(t, []string{"pending by ", "confirmed by stripe:evt_paid"}, w.actors(paid.ID))
	require.Equal(t, 200, w.send("evt_left", "checkout.session.expired", session(w.checkout(left), map[string]any{"payment_status": "unpaid"})))
	require.Equal(t, []string{"pending by ", "expired by stripe:evt_left"}, w.actors(left.ID))

	w.forgetSession(gone)
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
	w.forgetSession(b)
	_, err := w.payments.ExpireSessions(booking.WithActor(t.Context(), "user:ops@example.com"))
	require.NoError(t, err)
	require.Equal(t, []string{"pending by ", "expired by user:ops@example.com"}, w.actors(b.ID))
}

// What a cancellation asks before it gives nothing back: has money come, or is it coming?
func TestHasMoney(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	has := func(id string) bool {
		t.Helper()
		var has bool
		tx, err := w.db.BeginTx(t.Context(), &sql.TxOptions{})
		require.NoError(t, err)
		defer func() { require.NoError(t, tx.Rollback()) }()
		has, err = w.payments.HasMoney(t.Context(), tx, id)
		require.NoError(t, err)
		return has
	}
	require.False(t, has("no id"))
	require.False(t, has("019a2b3c-0000-7000-8000-000000000000"))
	b := w.hold(0)
	require.False(t, has(b.ID))
	c := w.checkout(b)
	require.False(t, has(b.ID), "an open page is no money")
	require.Equal(t, 200, w.send("evt_1", "checkout.session.completed", session(c, map[string]any{"payment_status": "unpaid"})))
	require.True(t, has(b.ID), "a delayed method's is on its way")
	require.Equal(t, 200, w.send("evt_2", "checkout.session.async_payment_succeeded", session(c, nil)))
	require.True(t, has(b.ID))
	w.exec(`UPDATE booking_platform.payments SET refunded_minor = captured_minor - 1`)
	require.True(t, has(b.ID))
	w.exec(`UPDATE booking_platform.payments SET refunded_minor = captured_minor`)
	require.False(t, has(b.ID), "all of it went back")

	refused := w.hold(1)
	c = w.checkout(refused)
	require.Equal(t, 200, w.send("evt_3", "checkout.session.async_payment_failed", session(c, map[string]any{"payment_status": "unpaid"})))
	require.False(t, has(refused.ID))

	parked := w.hold(2)
	c = w.checkout(parked)
	require.Equal(t, 200, w.send("evt_4", "checkout.session.completed", session(c, map[string]any{"amount_total": price + 1})))
	require.True(t, has(parked.ID), "a person has it to sort out")
}
