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

// fill takes every unit of some slots with holds whose time has passed.
func fill(t *testing.T, db *sql.DB, store *booking.Store, capacity int, starts ...time.Time) []string {
	t.Helper()
	var ids []string
	for _, start := range starts {
		for range capacity {
			ids = append(ids, hold(t, store, request(start)).ID)
		}
	}
	lapse(t, db, ids...)
	return ids
}

// Expired holds keep nobody out: with as many clients as units each gets one, though all
// of them find the slot full of expired holds and release them at the same time, the
// sweep joins in, and bookings overlap several of them.
func TestExpiredHoldsUnderContention(t *testing.T) {
	t.Parallel()
	eachLibrary(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store, func(r *booking.Resource) { r.Capacity, r.SlotStep = 16, 30*time.Minute })
		for round := range 4 {
			first := slot(4 * round)
			// Slots of an hour half an hour apart: what is sold at first overlaps what
			// has expired there and half an hour later.
			fill(t, db, store, 8, first, first.Add(30*time.Minute))
			errs := atOnce(t, db, 33, func(store *booking.Store, client int) error {
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

// Whoever finds an expired hold that somebody else has locked waits until it is decided
// about, and is then served or refused by what was decided.
func TestExpiredHoldThatSomebodyIsDecidingAbout(t *testing.T) {
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
		"confirmed after all": {want: booking.ErrSlotTaken,
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
			id := fill(t, db, store, 1, slot(0))[0]
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

// One expired hold is locked, the other is enough: nobody waits.
func TestExpiredHoldBesideALockedOne(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, func(r *booking.Resource) { r.Capacity = 2 })
	expired := fill(t, db, store, 2, slot(0))
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	exec(t, tx, `SELECT FROM booking_platform.bookings WHERE id = $1::uuid FOR UPDATE`, expired[0])
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err = store.Hold(ctx, request(slot(0)))
	require.NoError(t, err)
}

// waitForLock returns once a statement waits for a lock in this database.
func waitForLock(t *testing.T, db *sql.DB) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		if count(t, db,
			`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) > 0 {
			return
		}
		require.True(t, time.Now().Before(deadline), "nobody waits for a lock")
	}
}
