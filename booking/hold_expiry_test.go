package booking_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func fillWithExpired(t *testing.T, db *sql.DB, store *booking.Store, capacity int, starts ...time.Time) []string {
	t.Helper()
	var ids []string
	for _, start := range starts {
		for range capacity {
			ids = append(ids, hold(t, store, request(start)).ID)
		}
	}
	expireHolds(t, db, ids...)
	return ids
}

// As many clients as units release expired holds, some of which overlap two slots,
// concurrently with the sweep: each gets a unit.
func TestHold_ConcurrentOverExpiredHolds(t *testing.T) {
	t.Parallel()
	eachLibrary(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store, func(r *booking.Resource) { r.Capacity, r.SlotStep = 16, 30*time.Minute })
		for round := range 2 {
			first := slot(4 * round)
			// Half-overlapping slots: a new hold overlaps the expired ones of both.
			fillWithExpired(t, db, store, 8, first, first.Add(30*time.Minute))
			errs := concurrently(t, db, 33, func(store *booking.Store, client int) error {
				if client == 32 {
					_, err := store.ReleaseExpired(context.Background())
					return err
				}
				_, err := store.Hold(context.Background(), request(first.Add(time.Duration(client%2)*30*time.Minute)))
				return err
			})
			requireSold(t, 17, errs)
			requireInvariants(t, db)
		}
	})
}

// A hold waits for the transaction that has locked the expired hold, and follows its
// result.
func TestHold_ExpiredHoldLockedByAnother(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		decide func(t *testing.T, store *booking.Store, tx *sql.Tx, id string)
		want   error
	}{
		"released": {want: nil, decide: func(t *testing.T, store *booking.Store, tx *sql.Tx, id string) {
			_, err := store.Tx(tx).Release(t.Context(), id)
			require.NoError(t, err)
			require.NoError(t, tx.Commit())
		}},
		"confirmed": {want: booking.ErrSlotTaken,
			decide: func(t *testing.T, store *booking.Store, tx *sql.Tx, id string) {
				_, err := store.Tx(tx).ConfirmLate(t.Context(), id)
				require.NoError(t, err)
				require.NoError(t, tx.Commit())
			}},
		"confirmation rolled back": {want: nil,
			decide: func(t *testing.T, store *booking.Store, tx *sql.Tx, id string) {
				_, err := store.Tx(tx).ConfirmLate(t.Context(), id)
				require.NoError(t, err)
				require.NoError(t, tx.Rollback())
			}},
		"extended": {want: booking.ErrSlotTaken,
			decide: func(t *testing.T, store *booking.Store, tx *sql.Tx, id string) {
				_, err := store.Tx(tx).Extend(t.Context(), id, slot(0))
				require.NoError(t, err)
				require.NoError(t, tx.Commit())
			}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			store := newStore(t, db)
			create(t, store)
			id := fillWithExpired(t, db, store, 1, slot(0))[0]
			tx, err := db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			defer func() { _ = tx.Rollback() }()
			exec(t, tx, `SELECT FROM booking_platform.bookings WHERE id = $1::uuid FOR UPDATE`, id)

			answer := make(chan error)
			go func() {
				_, err := store.Hold(t.Context(), request(slot(0)))
				answer <- err
			}()
			waitForLock(t, db)
			test.decide(t, store, tx, id)
			if err := <-answer; test.want == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, test.want)
			}
			requireInvariants(t, db)
		})
	}
}

// One expired hold is locked; the other one suffices, without waiting.
func TestHold_OtherExpiredHoldSuffices(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, func(r *booking.Resource) { r.Capacity = 2 })
	expired := fillWithExpired(t, db, store, 2, slot(0))
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	exec(t, tx, `SELECT FROM booking_platform.bookings WHERE id = $1::uuid FOR UPDATE`, expired[0])
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err = store.Hold(ctx, request(slot(0)))
	require.NoError(t, err)
}

// M17: A hold ends at the latest when its slot starts: when made, extended or moved
// earlier.
func TestHold_ExpiresAtSlotStart(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store, func(r *booking.Resource) { r.HoldFor = 30 * 24 * time.Hour })
		held := hold(t, store, request(slot(0)))
		require.Equal(t, slot(0), held.HoldExpiresAt)
		far := hold(t, store, request(slot(31*24)))
		require.True(t, far.HoldExpiresAt.Before(far.Start), "the resource's HoldFor is shorter")
		for _, until := range []time.Time{slot(1), slot(10000), held.Start.Add(time.Microsecond)} {
			got, err := store.Extend(t.Context(), held.ID, until)
			require.NoError(t, err)
			require.Equal(t, held.Start, got.HoldExpiresAt)
		}
		later, err := store.Reschedule(t.Context(), booking.RescheduleRequest{ID: held.ID, Start: slot(5)})
		require.NoError(t, err)
		require.Equal(t, slot(0), later.HoldExpiresAt, "a later slot does not extend it")
		earlier, err := store.Reschedule(t.Context(), booking.RescheduleRequest{ID: held.ID, Start: slot(-3)})
		require.NoError(t, err)
		require.Equal(t, slot(-3), earlier.HoldExpiresAt)
		require.Equal(t, 1, count(t, db, `SELECT count(*) FROM booking_platform.hold_deadlines
			WHERE booking_id = $1::uuid AND due_at = $2::timestamptz`,
			held.ID, slot(-3)), "the sweep releases it when it ends")
		require.Zero(t,
			count(t, db, `SELECT count(*) FROM booking_platform.bookings WHERE hold_expires_at > lower(during)`))

		confirmed, err := store.Confirm(t.Context(), far.ID)
		require.NoError(t, err)
		moved, err := store.Reschedule(t.Context(), booking.RescheduleRequest{ID: far.ID, Start: slot(2)})
		require.NoError(t, err)
		require.Equal(t, confirmed.HoldExpiresAt, moved.HoldExpiresAt, "a confirmed booking keeps it")
	})
}

// The cap counts from the hold.
func TestExtend_UpToTheCap(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store, func(r *booking.Resource) { r.HoldFor, r.HoldCap = time.Hour, 3*time.Hour })
		b := hold(t, store, request(slot(0)))
		for _, test := range []struct{ ask, want time.Duration }{
			{2 * time.Hour, 2 * time.Hour}, {time.Hour, 2 * time.Hour}, {3*time.Hour + time.Microsecond, 3 * time.Hour},
			{1000 * time.Hour, 3 * time.Hour}, {2 * time.Hour, 3 * time.Hour},
		} {
			for name, level := range levels {
				require.NoError(t, retryInTx(db, store, level, func(tx *booking.Tx) error {
					got, err := tx.Extend(t.Context(), b.ID, b.CreatedAt.Add(test.ask))
					require.Equal(t, b.CreatedAt.Add(test.want), got.HoldExpiresAt, name)
					return err
				}))
			}
			stored, err := store.Get(t.Context(), b.ID)
			require.NoError(t, err)
			require.Equal(t, b.CreatedAt.Add(test.want), stored.HoldExpiresAt)
		}

		// A lowered cap shortens nothing.
		exec(t, db, `UPDATE booking_platform.resources SET hold_cap_seconds = 7200`)
		got, err := store.Extend(t.Context(), b.ID, slot(0))
		require.NoError(t, err)
		require.Equal(t, b.CreatedAt.Add(3*time.Hour), got.HoldExpiresAt)

		// The hold has expired but not its cap, so it is extended. Then the cap has
		// passed too.
		expireHolds(t, db, b.ID)
		got, err = store.Extend(t.Context(), b.ID, slot(0))
		require.NoError(t, err)
		require.Equal(t, b.CreatedAt.Add(2*time.Hour), got.HoldExpiresAt)
		expireHolds(t, db, b.ID)
		exec(t, db,
			`UPDATE booking_platform.bookings SET created_at = created_at - interval '2 hours' WHERE id = $1::uuid`,
			b.ID)
		_, err = store.Extend(t.Context(), b.ID, slot(0))
		require.ErrorIs(t, err, booking.ErrHoldExpired)
		_, err = store.ConfirmLate(t.Context(), b.ID)
		require.NoError(t, err, "the payment may still arrive")
	})
}

func TestExtend_NeverShortens(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store)
		b := hold(t, store, request(slot(0)))
		later, err := store.Extend(t.Context(), b.ID, b.HoldExpiresAt.Add(time.Hour))
		require.NoError(t, err)
		require.Equal(t, b.HoldExpiresAt.Add(time.Hour), later.HoldExpiresAt)
		earlier, err := store.Extend(t.Context(), b.ID, b.HoldExpiresAt)
		require.NoError(t, err)
		require.Equal(t, later.HoldExpiresAt, earlier.HoldExpiresAt)
	})
}

// Refused before the database is asked, so a caller's transaction stays usable.
func TestExtend_TimeOutOfRange(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	b := hold(t, store, request(slot(0)))
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	for _, until := range []time.Time{{}, time.Unix(1<<40, 0), time.Unix(1<<50, 0)} {
		_, err := store.Extend(t.Context(), b.ID, until)
		requireFields(t, err, "until")
		_, err = store.Tx(tx).Extend(t.Context(), b.ID, until)
		requireFields(t, err, "until")
	}
	got, err := store.Tx(tx).Get(t.Context(), b.ID)
	require.NoError(t, err)
	require.Equal(t, b, got)
}
