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

// A booking that has begun is completed or missed, and each is corrected into the other;
// its units are free at once.
func TestComplete(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store)
		ctx := booking.WithActor(t.Context(), "desk")
		id := hold(t, store, request(slot(0))).ID
		before, err := store.Confirm(t.Context(), id)
		require.NoError(t, err)
		for level := range levels {
			err := inTx(db, store, levels[level], func(tx *booking.Tx) error {
				_, err := tx.Complete(ctx, id)
				require.ErrorIs(t, err, booking.ErrNotBegun)
				_, err = tx.NoShow(ctx, id)
				require.ErrorIs(t, err, booking.ErrNotBegun)
				got, err := tx.Get(ctx, id)
				require.Equal(t, before, got, "the transaction is usable")
				return err
			})
			require.NoError(t, err)
		}
		startsIn(t, db, id, -time.Minute)
		before, err = store.Get(t.Context(), id)
		require.NoError(t, err)
		meanwhile := booking.BlockRequest{Resource: "court", From: before.Start, To: before.End}
		_, err = store.Block(ctx, meanwhile)
		require.ErrorIs(t, err, booking.ErrSlotTaken)

		want := []booking.Change{{From: booking.Pending, To: booking.Confirmed}}
		status := booking.Confirmed
		for _, step := range []struct {
			do func(context.Context, string) (booking.Booking, error)
			to booking.Status
		}{
			{store.Complete, booking.Completed}, {store.Complete, booking.Completed}, {store.NoShow, booking.NoShow},
			{store.NoShow, booking.NoShow}, {store.Complete, booking.Completed},
		} {
			got, err := step.do(ctx, id)
			require.NoError(t, err)
			stored, err := store.Get(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, stored, got)
			after := before
			after.Status, after.UpdatedAt = step.to, got.UpdatedAt
			require.Equal(t, after, got)
			if status != step.to {
				want = append(want, booking.Change{From: status, To: step.to, Actor: "desk"})
			}
			status = step.to
		}
		require.Equal(t, want, changes(t, store, id))
		requireHistory(t, db)
		b, err := store.Block(ctx, meanwhile)
		require.NoError(t, err, "its units are free before its end")
		for _, do := range []func(context.Context, string) (booking.Booking, error){store.Complete, store.NoShow} {
			var refused *booking.StatusError
			_, err = do(ctx, b.ID)
			require.ErrorAs(t, err, &refused, "a block is neither")
			require.Equal(t, booking.Confirmed, refused.Status)
		}
	})
}

// Only confirmed bookings whose end has passed for long enough are completed.
func TestCompletePast(t *testing.T) {
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
			confirmed("court", -2*time.Hour-time.Minute): booking.Completed,
			confirmed("other", -2*time.Hour+time.Minute): booking.Confirmed,
			confirmed("court", -100*time.Hour):           booking.Completed,
			confirmed("court", -time.Minute):             booking.Confirmed,
			confirmed("court", 7*time.Hour):              booking.Confirmed,
		}
		missed := confirmed("court", -20*time.Hour)
		_, err := off.NoShow(t.Context(), missed)
		require.NoError(t, err)
		pending := hold(t, off, request(slot(0))).ID
		startsIn(t, db, pending, -30*time.Hour)
		block, err := off.Block(t.Context(), booking.BlockRequest{Resource: "court", From: slot(-100), To: slot(-90)})
		require.NoError(t, err)
		want[missed], want[pending], want[block.ID] = booking.NoShow, booking.Pending, booking.Confirmed

		before := everything(t, db)
		n, err := off.CompletePast(t.Context())
		require.NoError(t, err)
		require.Zero(t, n)
		require.Equal(t, before, everything(t, db), "without CompleteAfter it does nothing")

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
				if status == booking.Completed {
					all := changes(t, store, id)
					require.Equal(t, booking.Change{From: booking.Confirmed, To: booking.Completed, Actor: "booking"},
						all[len(all)-1])
				}
			}
		}
	})
}

// Replicas share the work, and a booking that somebody has locked holds nobody up.
func TestCompletePastOnSeveralReplicas(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	const past = 2*booking.SweepBatch + 300
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
	requireSold(t, 3, atOnce(t, db, 3, step))
	require.EqualValues(t, past-1, total.Load())
	require.NoError(t, tx.Rollback())
	require.NoError(t, step(nil, 0))
	require.EqualValues(t, past, total.Load())
	require.Equal(t, past,
		count(t, db, `SELECT count(*) FROM booking_platform.booking_history WHERE to_status = 'completed'`))
}
