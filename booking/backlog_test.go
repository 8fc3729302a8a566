package booking_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestBacklog(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store)
		b, err := store.Backlog(t.Context())
		require.NoError(t, err)
		require.Zero(t, b)

		hold(t, store, request(slot(0)))
		confirmed := hold(t, store, request(slot(1)))
		released := hold(t, store, request(slot(2)))
		extended := hold(t, store, request(slot(3)))
		for n := range 2 {
			expired := hold(t, store, request(slot(4+n)))
			lapse(t, db, expired.ID)
			exec(t, db, `UPDATE booking_platform.bookings SET hold_expires_at = hold_expires_at - $2::int * interval '1 hour' WHERE id = $1::uuid`, expired.ID, n)
		}
		_, err = store.Confirm(t.Context(), confirmed.ID)
		require.NoError(t, err)
		_, err = store.Release(t.Context(), released.ID)
		require.NoError(t, err)
		lapse(t, db, extended.ID)
		_, err = store.Extend(t.Context(), extended.ID, slot(0))
		require.NoError(t, err)

		b, err = store.Backlog(t.Context())
		require.NoError(t, err)
		require.Equal(t, []int{2, 2}, []int{b.Open, b.Expired})
		require.InDelta(t, 2*time.Hour, b.Age, float64(time.Minute))
		require.WithinDuration(t, time.Now().Add(-2*time.Hour), b.Oldest, 5*time.Minute)
		require.Equal(t, time.UTC, b.Oldest.Location())

		_, err = store.ReleaseExpired(t.Context())
		require.NoError(t, err)
		b, err = store.Backlog(t.Context())
		require.NoError(t, err)
		require.Equal(t, booking.Backlog{Open: 2}, b)
	})
}

// Bookings that have no deadline, which are all but the newest, are not read, though many
// have one.
func TestBacklogIsCheap(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	many(t, db)
	exec(t, db, `DELETE FROM booking_platform.hold_deadlines`)
	exec(t, db, `INSERT INTO booking_platform.hold_deadlines SELECT hold_expires_at, id FROM booking_platform.bookings LIMIT 4000`)
	exec(t, db, `VACUUM ANALYZE booking_platform.hold_deadlines`)
	require.ElementsMatch(t, []string{"Seq Scan on hold_deadlines", "bookings_pkey"},
		indexes(t, db, booking.BacklogSQL))
}
