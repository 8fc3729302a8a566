package booking_test

import (
	"context"
	"database/sql"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

const deadlines = `SELECT count(*) FROM booking_platform.hold_deadlines`

func TestReleaseExpired_Batches(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store)
		running := hold(t, store, request(slot(0)))
		confirmed := hold(t, store, request(slot(1)))
		extended := hold(t, store, request(slot(2)))
		expired := hold(t, store, request(slot(3)))
		expireHolds(t, db, confirmed.ID, extended.ID, expired.ID)
		_, err := store.ConfirmLate(t.Context(), confirmed.ID)
		require.NoError(t, err)
		extended, err = store.Extend(t.Context(), extended.ID, slot(0))
		require.NoError(t, err)

		released, err := store.ReleaseExpired(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, released)
		for id, want := range map[string]booking.Status{
			running.ID: booking.StatusPending, confirmed.ID: booking.StatusConfirmed,
			extended.ID: booking.StatusPending,
			expired.ID:  booking.StatusExpired,
		} {
			b, err := store.Get(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, want, b.Status)
		}
		require.Equal(t, 2, count(t, db, deadlines), "the two holds are left")
		const moved = deadlines + ` WHERE booking_id = $1::uuid AND due_at = $2::timestamptz`
		require.Equal(t, 1, count(t, db, moved, extended.ID, extended.HoldExpiresAt))

		expireHolds(t, db, extended.ID)
		released, err = store.ReleaseExpired(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, released, "an extended hold expires at its new end")
		hold(t, store, request(slot(2)))
	})
}

// Each hold is counted once, and locked bookings are skipped.
func TestReleaseExpired_ConcurrentReplicas(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, func(r *booking.Resource) { r.Capacity = 100 })
	const holds = 1500
	exec(t, db, `
		INSERT INTO booking_platform.bookings (
			id, resource_id, units, party, during, blocked, status, hold_expires_at, amount_minor, currency
		)
		SELECT gen_random_uuid(), r.id, '{[1,2)}', 1, s, s, 'pending', statement_timestamp() - interval '1 minute', 0,
			'eur'
		FROM booking_platform.resources r, generate_series(1, $1::integer) n,
			LATERAL (SELECT tstzrange(now() + n * interval '1 hour', now() + (n + 1) * interval '1 hour')) AS t(s)`,
		holds)
	exec(t, db, `INSERT INTO booking_platform.hold_deadlines SELECT hold_expires_at, id FROM booking_platform.bookings`)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	var locked string
	require.NoError(t, tx.QueryRowContext(t.Context(),
		`SELECT id::text FROM booking_platform.bookings LIMIT 1 FOR UPDATE`).Scan(&locked))

	var total atomic.Int64
	errs := concurrently(t, db, 2, func(store *booking.Store, _ int) error {
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

// An uncommitted row with a foreign key to the booking, such as a payment, blocks neither
// the sweep nor a hold.
func TestReleaseExpired_OpenForeignKeyInsert(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	exec(t, db, `CREATE TABLE orders (booking_id uuid REFERENCES booking_platform.bookings (id))`)
	swept, inTheWay := hold(t, store, request(slot(0))), hold(t, store, request(slot(1)))
	expireHolds(t, db, swept.ID)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	for _, b := range []booking.Booking{swept, inTheWay} {
		exec(t, tx, `INSERT INTO orders (booking_id) VALUES ($1::uuid)`, b.ID)
	}
	released, err := store.ReleaseExpired(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, released)

	expireHolds(t, db, inTheWay.ID)
	result, err := db.ExecContext(t.Context(), booking.ReleaseLapsedSQL, inTheWay.ResourceID, slot(1), slot(2),
		"booking")
	require.NoError(t, err)
	n, err := result.RowsAffected()
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	require.NoError(t, tx.Commit())
}

// The deadline of a deleted booking is deleted when due.
func TestReleaseExpired_DeletedBooking(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	running, expired := hold(t, store, request(slot(0))), hold(t, store, request(slot(1)))
	gone := hold(t, store, request(slot(2)))
	expireHolds(t, db, expired.ID, gone.ID)
	exec(t, db, `DELETE FROM booking_platform.bookings WHERE id = $1::uuid`, gone.ID)
	const lost = 2*booking.BatchSize + 7
	exec(t, db, `
		INSERT INTO booking_platform.hold_deadlines (due_at, booking_id)
		SELECT statement_timestamp() - interval '1 day' + n * interval '1 second', gen_random_uuid()
		FROM generate_series(1, $1::integer) n`, lost)
	released, err := store.ReleaseExpired(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, released)
	require.Equal(t, 1, count(t, db, deadlines))
	require.Equal(t, 1, count(t, db, deadlines+` WHERE booking_id = $1::uuid`, running.ID))
}

func TestBacklog_CountsDueWork(t *testing.T) {
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
			expireHolds(t, db, expired.ID)
			exec(t, db, `UPDATE booking_platform.bookings
				SET hold_expires_at = hold_expires_at - $2::int * interval '1 hour' WHERE id = $1::uuid`, expired.ID, n)
		}
		_, err = store.Confirm(t.Context(), confirmed.ID)
		require.NoError(t, err)
		_, err = store.Release(t.Context(), released.ID)
		require.NoError(t, err)
		expireHolds(t, db, extended.ID)
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

func TestCompletePast_OnlyAfterTheDelay(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		off := newStore(t, db)
		create(t, off, func(r *booking.Resource) { r.Slug, r.Capacity = "court", 1 })
		create(t, off, func(r *booking.Resource) { r.Slug = "other" })
		confirmed := func(resource string, in time.Duration) string {
			req := request(slot(0))
			req.Resource = resource
			id := hold(t, off, req).ID
			_, err := off.Confirm(t.Context(), id)
			require.NoError(t, err)
			startsIn(t, db, id, in)
			return id
		}
		want := map[string]booking.Status{
			confirmed("court", -2*time.Hour-time.Minute): booking.StatusCompleted,
			confirmed("other", -2*time.Hour+time.Minute): booking.StatusConfirmed,
			confirmed("court", -100*time.Hour):           booking.StatusCompleted,
			confirmed("court", -time.Minute):             booking.StatusConfirmed,
			confirmed("court", 7*time.Hour):              booking.StatusConfirmed,
		}
		missed := confirmed("court", -20*time.Hour)
		_, err := off.NoShow(t.Context(), missed)
		require.NoError(t, err)
		pending := hold(t, off, request(slot(0))).ID
		startsIn(t, db, pending, -30*time.Hour)
		block, err := off.Block(t.Context(), booking.BlockRequest{Resource: "court", From: slot(-100), To: slot(-90)})
		require.NoError(t, err)
		want[missed], want[pending], want[block.ID] = booking.StatusNoShow, booking.StatusPending,
			booking.StatusConfirmed

		before := allRows(t, db)
		n, err := off.CompletePast(t.Context())
		require.NoError(t, err)
		require.Zero(t, n)
		require.Equal(t, before, allRows(t, db), "nothing to do without CompleteAfter")

		store, err := booking.New(db, booking.Options{CompleteAfter: time.Hour})
		require.NoError(t, err)
		for _, done := range []int{2, 0} {
			n, err := store.CompletePast(t.Context())
			require.NoError(t, err)
			require.Equal(t, done, n)
			for id, status := range want {
				b, err := store.Get(t.Context(), id)
				require.NoError(t, err)
				require.Equal(t, status, b.Status)
				if status == booking.StatusCompleted {
					all := changes(t, store, id)
					require.Equal(t, booking.Change{From: booking.StatusConfirmed, To: booking.StatusCompleted,
						Actor: "booking"},
						all[len(all)-1])
				}
			}
		}
	})
}

// Replicas share the work, and skip locked bookings.
func TestCompletePast_ConcurrentReplicas(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	const past = 2*booking.BatchSize + 300
	exec(t, db, `
		INSERT INTO booking_platform.bookings (
			id, resource_id, units, party, during, blocked, status, hold_expires_at, amount_minor, currency
		)
		SELECT gen_random_uuid(), r.id, '{[1,2)}', 1, s, s, 'confirmed', statement_timestamp(), 0, 'eur'
		FROM booking_platform.resources r, generate_series(2, 1 + $1::integer) n,
			LATERAL (SELECT tstzrange(now() - n * interval '1 hour', now() - (n - 1) * interval '1 hour')) AS t(s)`,
		past)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	var locked string
	require.NoError(t, tx.QueryRowContext(t.Context(),
		`SELECT id::text FROM booking_platform.bookings LIMIT 1 FOR UPDATE`).Scan(&locked))

	var total atomic.Int64
	step := func(*booking.Store, int) error {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		own, err := booking.New(db, booking.Options{CompleteAfter: time.Millisecond})
		if err != nil {
			return err
		}
		n, err := own.CompletePast(ctx)
		total.Add(int64(n))
		return err
	}
	requireSold(t, 3, concurrently(t, db, 3, step))
	require.EqualValues(t, past-1, total.Load())
	require.NoError(t, tx.Rollback())
	require.NoError(t, step(nil, 0))
	require.EqualValues(t, past, total.Load())
	require.Equal(t, past,
		count(t, db, `SELECT count(*) FROM booking_platform.booking_history WHERE to_status = 'completed'`))
}

// Two replicas release and complete each booking once, and return nil when the context
// ends.
func TestRun_ReleasesAndCompletesUntilTheContextEnds(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var mu sync.Mutex
	items := map[string]int{}
	runs := map[string]int{}
	replica := func() *booking.Store {
		store, err := booking.New(db, booking.Options{
			CompleteAfter: time.Hour,
			OnStep: func(step string, _ time.Duration, n int, err error) {
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Errorf("%s: %v", step, err)
				}
				items[step] += n
				runs[step]++
				if runs["booking.ReleaseExpired"] >= 2 && runs["booking.CompletePast"] >= 2 {
					cancel()
				}
			},
		})
		require.NoError(t, err)
		return store
	}
	first, second := replica(), replica()
	create(t, first)
	expired, past := hold(t, first, request(slot(0))), hold(t, first, request(slot(1)))
	_, err := first.Confirm(t.Context(), past.ID)
	require.NoError(t, err)
	expireHolds(t, db, expired.ID)
	exec(t, db, `UPDATE booking_platform.bookings
		SET during = tstzrange(now() - interval '3 hours', now() - interval '2 hours'),
		blocked = tstzrange(now() - interval '3 hours', now() - interval '2 hours') WHERE id = $1::uuid`, past.ID)

	ended := make(chan error, 2)
	for _, store := range []*booking.Store{first, second} {
		go func() { ended <- store.Run(ctx) }()
	}
	require.NoError(t, <-ended)
	require.NoError(t, <-ended)
	require.Equal(t,
		map[string]int{"booking.ErasePast": 0, "booking.ReleaseExpired": 1, "booking.CompletePast": 1}, items)
	for id, want := range map[string]booking.Status{expired.ID: booking.StatusExpired,
		past.ID: booking.StatusCompleted} {
		b, err := first.Get(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, want, b.Status)
	}
}
