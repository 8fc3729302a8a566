package booking_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// M6: a request that is wrong is told from one that is to be limited, and nothing is
// taken.
func TestCheck(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := limited(t, db, 1, 1)
	create(t, store)
	require.NoError(t, store.Check(t.Context(), from(slot(0), ada.Email, "10.0.0.1")))
	require.Zero(t, count(t, db, `SELECT count(*) FROM booking_platform.bookings`))
	require.Zero(t, count(t, db, numbers))
	taken := hold(t, store, from(slot(0), ada.Email, "10.0.0.1"))
	require.NoError(t, store.Check(t.Context(), from(taken.Start, ada.Email, "10.0.0.1")),
		"neither the slot nor a limit is looked at")
	for name, change := range map[string]func(*booking.HoldRequest){
		"email":    func(r *booking.HoldRequest) { r.Customer.Email = "ada" },
		"start":    func(r *booking.HoldRequest) { r.Start = slot(0).Add(1) },
		"party":    func(r *booking.HoldRequest) { r.Party = 2 },
		"resource": func(r *booking.HoldRequest) { r.Resource = "none" },
	} {
		req := request(slot(1))
		change(&req)
		requireFields(t, store.Check(t.Context(), req), name)
	}
}
