package booking_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// Each slot overlaps its neighbours.
func overlappingSlots(capacity int) func(*booking.Resource) {
	return func(r *booking.Resource) { r.Capacity, r.SlotStep = capacity, 30*time.Minute }
}

func halfHour(n int) time.Time { return slot(0).Add(time.Duration(n) * 30 * time.Minute) }

func maxUnitsInUse(t testing.TB, db *sql.DB, start time.Time) int {
	t.Helper()
	return count(t, db, `
SELECT COALESCE(max(n), 0) FROM (
    SELECT (
        SELECT sum(b.party) FROM booking_platform.bookings b
        WHERE b.active AND b.blocked @> greatest(lower(a.blocked), $1::timestamptz)
    ) AS n
    FROM booking_platform.bookings a
    WHERE a.active AND a.blocked && tstzrange($1::timestamptz, $1::timestamptz + interval '1 hour', '[)')
) x`, start)
}

func holdAfterRelocating(ctx context.Context, store *booking.Store, req booking.HoldRequest) (booking.Booking, error) {
	for {
		b, err := store.Hold(ctx, req)
		if !errors.Is(err, booking.ErrSlotTaken) {
			return b, err
		}
		if err := store.Reassign(ctx, req.Resource, req.Start, max(req.Party, 1)); err != nil {
			return b, err
		}
		if b, err = store.Hold(ctx, req); err == nil || errors.Is(err, booking.ErrSlotTaken) {
			return b, err
		}
	}
}

// Half-overlapping slots are filled in random order until each is refused. Without
// relocation about an eighth stays empty.
func TestRelocate_FillsToCapacity(t *testing.T) {
	t.Parallel()
	eachLibrary(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		const capacity, starts = 6, 12
		create(t, store, overlappingSlots(capacity))
		before := map[string]booking.Booking{}
		sold := 0
		refused := map[int]bool{}
		for len(refused) < starts {
			n := rand.IntN(starts)
			b, err := holdAfterRelocating(t.Context(), store, request(halfHour(n)))
			if err != nil {
				require.ErrorIs(t, err, booking.ErrSlotTaken)
				require.Equal(t, capacity, maxUnitsInUse(t, db, halfHour(n)), "refused while units were free")
				refused[n] = true
				continue
			}
			require.False(t, refused[n])
			sold++
			switch rand.IntN(4) {
			case 0:
				b, err = store.Confirm(t.Context(), b.ID)
				require.NoError(t, err)
			case 1:
				exec(t, db,
					`UPDATE booking_platform.bookings SET kind = 'block', status = 'confirmed' WHERE id = $1::uuid`,
					b.ID)
				b, err = store.Get(t.Context(), b.ID)
				require.NoError(t, err)
			}
			before[b.ID] = b
		}
		requireInvariants(t, db)
		for n := range starts {
			require.Equal(t, capacity, maxUnitsInUse(t, db, halfHour(n)))
		}
		for id, was := range before {
			b, err := store.Get(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, was, b, "relocation changed more than units")
		}
		require.Equal(t, sold, count(t, db, `SELECT count(*) FROM booking_platform.bookings`),
			"temporary rows are left")
	})
}

// The only error is ErrSlotTaken, and at the end every free unit can be sold.
func TestRelocate_ConcurrentOperations(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	const capacity, starts = 6, 8
	create(t, newStore(t, db), overlappingSlots(capacity))
	errs := concurrently(t, db, 16, func(store *booking.Store, client int) error {
		random := rand.New(rand.NewPCG(7, uint64(client)))
		ctx := context.Background()
		for range 15 {
			req := request(halfHour(random.IntN(starts)))
			req.Party = 1 + random.IntN(2)
			b, err := holdAfterRelocating(ctx, store, req)
			if errors.Is(err, booking.ErrSlotTaken) {
				continue
			}
			if err == nil && random.IntN(2) == 0 {
				_, err = store.Confirm(ctx, b.ID)
			}
			if err == nil && random.IntN(3) > 0 {
				_, err = store.Cancel(ctx, booking.CancelRequest{ID: b.ID})
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	for _, err := range errs {
		require.NoError(t, err)
	}
	requireInvariants(t, db)
	store := newStore(t, db)
	for n := range starts {
		for maxUnitsInUse(t, db, halfHour(n)) < capacity {
			_, err := holdAfterRelocating(t.Context(), store, request(halfHour(n)))
			require.NoError(t, err)
		}
	}
	requireInvariants(t, db)
}

func bookingOnUnit(t *testing.T, db *sql.DB, store *booking.Store, start time.Time, unit int) booking.Booking {
	t.Helper()
	b := hold(t, store, request(start))
	exec(t, db, `UPDATE booking_platform.bookings SET units = int4multirange(int4range($2::integer, $2::integer + 1))
		WHERE id = $1::uuid`, b.ID, unit)
	return b
}

func unitsOfBooking(t *testing.T, db *sql.DB, id string) string {
	t.Helper()
	var units string
	require.NoError(t, db.QueryRowContext(t.Context(),
		`SELECT units::text FROM booking_platform.bookings WHERE id = $1::uuid`, id).Scan(&units))
	return units
}

// With one of two neighbours locked, the other moves without waiting; with both locked it
// waits.
func TestRelocate_SkipsLockedBookings(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, overlappingSlots(2))
	left, right := bookingOnUnit(t, db, store, halfHour(0), 1), bookingOnUnit(t, db, store, halfHour(3), 2)
	tx, err := db.BeginTx(t.Context(), readCommitted)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	_, err = store.Tx(tx).Confirm(t.Context(), right.ID)
	require.NoError(t, err)
	// From the middle of one to the middle of the other: each unit has one of them.
	from, to := halfHour(1), halfHour(4)
	require.NoError(t, store.ReassignRange(t.Context(), "court", from, to, 1))
	require.Equal(t, "{[2,3)}", unitsOfBooking(t, db, left.ID))
	require.Equal(t, "{[2,3)}", unitsOfBooking(t, db, right.ID))

	exec(t, db, `UPDATE booking_platform.bookings SET units = '{[1,2)}' WHERE id = $1::uuid`, left.ID)
	exec(t, tx, `SELECT FROM booking_platform.bookings WHERE id = $1::uuid FOR UPDATE`, left.ID)
	answer := make(chan error)
	go func() { answer <- store.ReassignRange(context.Background(), "court", from, to, 1) }()
	waitForLock(t, db)
	require.NoError(t, tx.Commit())
	require.NoError(t, <-answer)
	require.Equal(t, unitsOfBooking(t, db, left.ID), unitsOfBooking(t, db, right.ID))
	requireInvariants(t, db)
}

// Units are free, or the capacity is exhausted, or the resource is unknown.
func TestRelocate_NothingToDo(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, overlappingSlots(2))
	b := bookingOnUnit(t, db, store, halfHour(0), 1)
	for _, party := range []int{1, 2} {
		require.NoError(t, store.Reassign(t.Context(), "court", halfHour(1), party))
		require.Equal(t, "{[1,2)}", unitsOfBooking(t, db, b.ID))
	}
}

const setUnits = `UPDATE booking_platform.bookings
	SET units = ('{[' || $2::integer || ',' || $2::integer + 1 || ')}')::int4multirange WHERE id = $1::uuid`

// fillDifferentUnits fills two adjacent slots at capacity 2: a slot that overlaps both
// has free capacity but no single free unit.
func fillDifferentUnits(t *testing.T, db *sql.DB, store *booking.Store) {
	t.Helper()
	create(t, store, overlappingSlots(2))
	exec(t, db, setUnits, hold(t, store, request(halfHour(0))).ID, 1)
	exec(t, db, setUnits, hold(t, store, request(halfHour(2))).ID, 2)
}

func TestHold_RelocatesNeighbours(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		fillDifferentUnits(t, db, store)
		two := request(halfHour(1))
		two.Party = 2
		_, err := store.Hold(t.Context(), two)
		require.ErrorIs(t, err, booking.ErrSlotTaken, "one unit, not two")
		held := hold(t, store, request(halfHour(1)))
		_, err = store.Hold(t.Context(), request(halfHour(1)))
		require.ErrorIs(t, err, booking.ErrSlotTaken)
		stored, err := store.Get(t.Context(), held.ID)
		require.NoError(t, err)
		require.Equal(t, held, stored)
		require.Equal(t, 3, count(t, db, `SELECT count(*) FROM booking_platform.booking_history`),
			"only the units of a relocated booking change")
		requireInvariants(t, db)
	})
}

// The expired hold may be all that is in the way.
func TestHold_ExpiredHoldReleasedBeforeRelocating(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	fillDifferentUnits(t, db, store)
	expireHolds(t, db, hold(t, store, request(halfHour(1))).ID)
	held := hold(t, store, request(halfHour(1)))
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM booking_platform.bookings WHERE status = 'expired'`))
	_, err := store.Release(t.Context(), held.ID)
	require.NoError(t, err)
	requireInvariants(t, db)
}

func TestHold_RelocatesInCallersTx(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		fillDifferentUnits(t, db, store)
		tx, err := db.BeginTx(t.Context(), readCommitted)
		require.NoError(t, err)
		defer func() { _ = tx.Rollback() }()
		joined := store.Tx(tx)
		_, err = joined.Hold(t.Context(), request(halfHour(1)))
		require.NoError(t, err)
		_, err = joined.Hold(t.Context(), request(halfHour(1)))
		require.ErrorIs(t, err, booking.ErrSlotTaken)
		require.NoError(t, tx.Commit())
		requireInvariants(t, db)
	})
}

// The transaction does not see the relocation, so it has to retry.
func TestHold_RelocatedBehindSnapshotIsRetryable(t *testing.T) {
	t.Parallel()
	for name, level := range levels {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			store := newStore(t, db)
			fillDifferentUnits(t, db, store)
			require.NoError(t, holdInTx(db, store, level, request(halfHour(1))))
			requireInvariants(t, db)
		})
	}
}

// Without a second connection, or where the bookings to relocate are uncommitted, the
// hold fails soon with a retryable error and leaves the transaction usable.
func TestHold_CannotRelocateNow(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(t *testing.T, db *sql.DB, store *booking.Store, tx *sql.Tx){
		"pool of one connection": func(t *testing.T, db *sql.DB, store *booking.Store, _ *sql.Tx) {
			db.SetMaxOpenConns(1)
		},
		"uncommitted bookings": func(t *testing.T, _ *sql.DB, _ *booking.Store, tx *sql.Tx) {
			exec(t, tx, `UPDATE booking_platform.bookings SET reason = 'mine'`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			store := newStore(t, db)
			fillDifferentUnits(t, db, store)
			tx, err := db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			defer func() { _ = tx.Rollback() }()
			prepare(t, db, store, tx)
			joined := store.Tx(tx)
			_, err = joined.Hold(t.Context(), request(halfHour(1)))
			require.True(t, booking.IsRetryable(err), "%v", err)
			require.NotErrorIs(t, err, booking.ErrSlotTaken)
			_, err = joined.Hold(t.Context(), request(halfHour(8)))
			require.NoError(t, err)
			require.NoError(t, tx.Commit())
		})
	}
	t.Run("expired hold of the same transaction", func(t *testing.T) {
		t.Parallel()
		db := testdb.New(t)
		store := newStore(t, db)
		create(t, store, overlappingSlots(2))
		tx, err := db.BeginTx(t.Context(), readCommitted)
		require.NoError(t, err)
		joined := store.Tx(tx)
		for n, unit := range []int{1, 2} {
			b, err := joined.Hold(t.Context(), request(halfHour(2*n)))
			require.NoError(t, err)
			exec(t, tx, setUnits, b.ID, unit)
		}
		_, err = joined.Hold(t.Context(), request(halfHour(1)))
		require.True(t, booking.IsRetryable(err), "%v", err)
		require.ErrorContains(t, err, "this transaction's own bookings are in the way")
		require.NoError(t, tx.Commit())
		hold(t, store, request(halfHour(1)))
	})
}

// 32 clients with limits hold, release, confirm and expire parties of 1 to 4 on
// overlapping slots. All that remains can be held.
func TestHold_ConcurrentRelocations(t *testing.T) {
	t.Parallel()
	for _, driver := range []testdb.Driver{testdb.PQBinary, testdb.PGX} {
		t.Run(string(driver), func(t *testing.T) {
			t.Parallel()
			db := testdb.Open(t, driver, testdb.URL(t))
			store := newStore(t, db)
			const starts = 9
			create(t, store, overlappingSlots(10))
			stores := []*booking.Store{withLimits(t, db, 6, 40), withLimits(t, db, 6, 40), withLimits(t, db, 6, 40)}
			errs := concurrently(t, db, 32, func(_ *booking.Store, client int) error {
				ctx := context.Background()
				random := rand.New(rand.NewPCG(2, uint64(client)))
				store := stores[client%len(stores)]
				for range 10 {
					req := requestFrom(halfHour(random.IntN(starts)), fmt.Sprintf("%d@example.com", client%8),
						fmt.Sprintf("10.0.0.%d", client%3))
					req.Party = 1 + random.IntN(4)
					b, err := store.Hold(ctx, req)
					switch {
					case errors.Is(err, booking.ErrSlotTaken), errors.Is(err, booking.ErrTooManyHolds):
						continue
					case err != nil:
						return err
					}
					switch random.IntN(5) {
					case 0, 1:
						_, err = store.Release(ctx, b.ID)
					case 2:
						_, err = store.Confirm(ctx, b.ID)
					case 3:
						err = execReadCommitted(ctx, db, expireHoldSQL, b.ID, b.CreatedAt)
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
			for _, err := range errs {
				require.NoError(t, err)
			}
			requireInvariants(t, db)
			requireHistory(t, db)
			require.Zero(t, count(t, db, strayQuotaRows))
			for n := range starts {
				free, err := store.Slots(t.Context(), "court", halfHour(n), halfHour(n+1), 1)
				require.NoError(t, err)
				req := request(halfHour(n))
				if len(free) == 0 {
					_, err := store.Hold(t.Context(), req)
					require.ErrorIs(t, err, booking.ErrSlotTaken)
					continue
				}
				req.Party = free[0].Remaining + 1
				if req.Party <= 10 {
					_, err := store.Hold(t.Context(), req)
					require.ErrorIs(t, err, booking.ErrSlotTaken, "more than remains")
				}
				req.Party = free[0].Remaining
				hold(t, store, req)
			}
			requireInvariants(t, db)
		})
	}
}
