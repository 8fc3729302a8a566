package payments_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
)

// Without contention, and with the resource cached.
func TestRoundTrips_Book(t *testing.T) {
	t.Parallel()
	db, trips := testdb.Counting(t)
	w := newWorld(t, setup{db: db})
	free := w.newResource("free", 0, 1)
	w.book(w.request(0))
	before := trips.Load()
	w.book(w.request(1))
	require.EqualValues(t, 3, trips.Load()-before, "hold, intent, session")

	req := w.request(0)
	req.Resource = free.ID
	w.book(req)
	before = trips.Load()
	req.Start = slot(1)
	w.book(req)
	require.EqualValues(t, 2, trips.Load()-before, "hold, confirm")
}

// The first visit of a paid customer to the success page.
func TestRoundTrips_RefreshSession(t *testing.T) {
	t.Parallel()
	db, trips := testdb.Counting(t)
	w := newWorld(t, setup{db: db})
	booked := w.book(w.request(0))
	_, err := w.stripe.Pay(t.Context(), booked.SessionID)
	require.NoError(t, err)
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	before := trips.Load()
	pay, err := w.payments.RefreshSession(t.Context(), booked.SessionID)
	require.NoError(t, err)
	require.True(t, pay.Applied())
	require.EqualValues(t, 1, trips.Load()-before)
}

// A plain payment is settled in one round trip, with the SQL of the hooks too.
func TestRoundTrips_PlainEvent(t *testing.T) {
	t.Parallel()
	db, trips := testdb.Counting(t)
	w := withOutbox(t, setup{db: db, capacity: 2})
	first, second := w.checkout(w.hold(0)), w.checkout(w.hold(0))
	require.Equal(t, http.StatusOK, w.send("evt_1", checkoutCompleted, session(first, nil)))
	before := trips.Load()
	require.Equal(t, http.StatusOK, w.send("evt_2", checkoutCompleted, session(second, nil)))
	require.EqualValues(t, 1, trips.Load()-before)
	require.Equal(t, []string{"paid"}, w.transitionsOf(second.PaymentID))
}
