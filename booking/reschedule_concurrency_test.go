package booking_test

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestReschedule_BehindSnapshotIsRetryable(t *testing.T) {
	t.Parallel()
	for _, level := range []sql.IsolationLevel{sql.LevelRepeatableRead, sql.LevelSerializable} {
		db := testdb.New(t)
		store := newStore(t, db)
		create(t, store)
		b := hold(t, store, request(slot(0)))
		tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: level})
		require.NoError(t, err)
		exec(t, tx, `SELECT 1`)
		hold(t, store, request(slot(3)))
		_, err = store.Tx(tx).Reschedule(t.Context(), moveTo(b.ID, slot(3)))
		require.True(t, booking.IsRetryable(err), "%v", err)
		require.NoError(t, tx.Rollback())
		_, err = store.Reschedule(t.Context(), moveTo(b.ID, slot(3)))
		require.ErrorIs(t, err, booking.ErrSlotTaken)
	}
}

// Refused, or one after the other, without deadlock.
func TestReschedule_ConcurrentSwaps(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	create(t, newStore(t, db), overlappingSlots(2))
	var ids []string
	for n := range 8 {
		ids = append(ids, hold(t, newStore(t, db), request(slot(n/2))).ID)
	}
	_, err := newStore(t, db).Cancel(t.Context(), booking.CancelRequest{ID: ids[1]})
	require.NoError(t, err)
	ids = slices.Delete(ids, 1, 2)
	errs := concurrently(t, db, 16, func(store *booking.Store, client int) error {
		random := rand.New(rand.NewPCG(3, uint64(client)))
		for range 20 {
			_, err := store.Reschedule(context.Background(),
				moveTo(ids[random.IntN(len(ids))], halfHour(random.IntN(7))))
			if err != nil && !errors.Is(err, booking.ErrSlotTaken) {
				return err
			}
		}
		return nil
	})
	for _, err := range errs {
		require.NoError(t, err)
	}
	requireInvariants(t, db)
	require.Equal(t, 7, count(t, db, `SELECT count(*) FROM booking_platform.bookings WHERE active`))
	require.Equal(t, count(t, db, `SELECT sum(sequence) FROM booking_platform.bookings WHERE active`),
		count(t, db, `SELECT count(*) FROM booking_platform.booking_history WHERE from_start IS NOT NULL`))
}

// Some moves run in callers' transactions. Every error is ErrSlotTaken.
func TestReschedule_ConcurrentWithHolds(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	const capacity, starts = 4, 10
	create(t, newStore(t, db), overlappingSlots(capacity))
	errs := concurrently(t, db, 32, func(store *booking.Store, client int) error {
		random := rand.New(rand.NewPCG(5, uint64(client)))
		ctx := context.Background()
		var mine []string
		for range 15 {
			var err error
			switch start := halfHour(random.IntN(starts)); {
			case len(mine) == 0 || random.IntN(4) == 0:
				var b booking.Booking
				req := request(start)
				req.Party = 1 + random.IntN(2)
				if b, err = store.Hold(ctx, req); err == nil {
					mine = append(mine, b.ID)
				}
			case random.IntN(8) == 0:
				_, err = store.Cancel(ctx, booking.CancelRequest{ID: mine[0]})
				mine = mine[1:]
			case client%4 == 0:
				err = retryInTx(db, store, sql.LevelReadCommitted, func(tx *booking.Tx) error {
					_, err := tx.Reschedule(ctx, moveTo(mine[0], start))
					return err
				})
			default:
				_, err = store.Reschedule(ctx, moveTo(mine[random.IntN(len(mine))], start))
			}
			if err != nil && !errors.Is(err, booking.ErrSlotTaken) {
				return err
			}
		}
		return nil
	})
	for _, err := range errs {
		require.NoError(t, err)
	}
	requireInvariants(t, db)
	require.Zero(t, count(t, db, `SELECT count(*) FROM booking_platform.bookings WHERE email = ''`),
		"temporary rows are left")
	store := newStore(t, db)
	for n := range starts {
		for maxUnitsInUse(t, db, halfHour(n)) < capacity {
			_, err := holdAfterRelocating(t.Context(), store, request(halfHour(n)))
			require.NoError(t, err)
		}
	}
}
