package booking_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// A block has reserved its own place, and loses that of the neighbour who makes room for
// it to a hold under way: everybody is put back, and it is decided anew by what the hold
// became.
func TestBlockLosesANeighboursPlace(t *testing.T) {
	t.Parallel()
	for _, commits := range []bool{false, true} {
		db := testdb.New(t)
		store := newStore(t, db)
		create(t, store, func(r *booking.Resource) { r.Capacity = 2 })
		first, second := hold(t, store, request(slot(0))), hold(t, store, request(slot(1)))
		for id, units := range map[string]string{first.ID: "{[1,2)}", second.ID: "{[2,3)}"} {
			exec(t, db, `UPDATE booking_platform.bookings SET units = $2::text::int4multirange WHERE id = $1::uuid`, id,
				units)
		}
		// Whoever blocks a unit for both hours asks the second one to take the first
		// unit, which this hold has just taken there.
		other, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = store.Tx(other).Hold(t.Context(), request(slot(1)))
		require.NoError(t, err)
		answer := make(chan error)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			_, err := store.Block(ctx, booking.BlockRequest{Resource: "court", From: slot(0), To: slot(2), Units: 1})
			answer <- err
		}()
		waitForLock(t, db)
		if commits {
			require.NoError(t, other.Commit())
			var conflict *booking.ConflictError
			require.ErrorAs(t, <-answer, &conflict)
			require.Len(t, conflict.Bookings, 3)
		} else {
			require.NoError(t, other.Rollback())
			require.NoError(t, <-answer)
		}
		requireInvariants(t, db)
		requireHistory(t, db)
		require.Zero(t, count(t, db, `SELECT count(*) FROM booking_platform.bookings WHERE upper(units) > 3`),
			"nobody is left where nobody sits")
	}
}
