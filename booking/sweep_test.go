package booking_test

import (
	"context"
	"database/sql"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

const deadlines = `SELECT count(*) FROM booking_platform.hold_deadlines`

func TestReleaseExpired(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store)
		running := hold(t, store, request(slot(0)))
		confirmed := hold(t, store, request(slot(1)))
		extended := hold(t, store, request(slot(2)))
		expired := hold(t, store, request(slot(3)))
		lapse(t, db, confirmed.ID, extended.ID, expired.ID)
		_, err := store.ConfirmLate(t.Context(), confirmed.ID)
		require.NoError(t, err)
		extended, err = store.Extend(t.Context(), extended.ID, slot(0))
		require.NoError(t, err)

		released, err := store.ReleaseExpired(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, released)
		for id, want := range map[string]booking.Status{
			running.ID: booking.Pending, confirmed.ID: booking.Confirmed, extended.ID: booking.Pending, expired.ID: booking.Expired,
		} {
			b, err := store.Get(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, want, b.Status)
		}
		require.Equal(t, 2, count(t, db, deadlines), "of the two that are still held")
		const moved = deadlines + ` WHERE booking_id = $1::uuid AND due_at = $2::timestamptz`
		require.Equal(t, 1, count(t, db, moved, extended.ID, extended.HoldExpiresAt))

		lapse(t, db, extended.ID)
		released, err = store.ReleaseExpired(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, released, "an extended hold expires at its later end")
		hold(t, store, request(slot(2)))
	})
}

// Replicas share the work: each hold is released, and counted, once, and a booking that somebody has locked holds
// nobody up.
func TestReleaseExpiredOnSeveralReplicas(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, func(r *booking.Resource) { r.Capacity = 100 })
	const holds = 1500
	exec(t, db, `
		INSERT INTO booking_platform.bookings (
			id, resource_id, units, party, during, blocked, status, hold_expires_at, amount_minor, currency
		)
		SELECT gen_random_uuid(), r.id, '{[1,2)}', 1, s, s, 'pending', statement_timestamp() - interval '1 minute', 0, 'eur'
		FROM booking_platform.resources r, generate_series(1, $1::integer) n,
			LATERAL (SELECT tstzrange(now() + n * interval '1 hour', now() + (n + 1) * interval '1 hour')) AS t(s)`, holds)
	exec(t, db, `INSERT INTO booking_platform.hold_deadlines SELECT hold_expires_at, id FROM booking_platform.bookings`)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	var locked string
	require.NoError(t, tx.QueryRowContext(t.Context(), `SELECT id::text FROM booking_platform.bookings LIMIT 1 FOR UPDATE`).Scan(&locked))

	var total atomic.Int64
	errs := atOnce(t, db, 2, func(store *booking.Store, _ int) error {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		n, err := store.ReleaseExpired(ctx)
		total.Add(int64(n))
		return err
	})
	requireSold(t, 2, errs)
	require.EqualValues(t, holds-1, total.Load())
	require.NoError(t, tx.Rollback())
	released, err := store.ReleaseExpired(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, released)
	require.Zero(t, count(t, db, deadlines))
	require.Equal(t, holds, count(t, db, `SELECT count(*) FROM booking_platform.bookings WHERE status = 'expired'`))
}
