package booking_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestHold_HundredClientsOneSlot(t *testing.T) {
	t.Parallel()
	eachLibrary(t, func(t *testing.T, db *sql.DB) {
		create(t, newStore(t, db))
		requireSold(t, 1, concurrently(t, db, 100, holdOnce(slot(0))))
		requireInvariants(t, db)
	})
}

func TestHold_AsManyClientsAsUnits(t *testing.T) {
	t.Parallel()
	eachLibrary(t, func(t *testing.T, db *sql.DB) {
		create(t, newStore(t, db), func(r *booking.Resource) { r.Capacity = 32 })
		for round := range 2 {
			requireSold(t, 32, concurrently(t, db, 32, holdOnce(slot(round))))
		}
		requireInvariants(t, db)
	})
}

// Each slot overlaps its neighbours.
func TestHold_ConcurrentPartiesOnOverlappingSlots(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	create(t, newStore(t, db), func(r *booking.Resource) { r.Capacity, r.SlotStep = 10, 30*time.Minute })
	var heads atomic.Int64
	errs := concurrently(t, db, 32, func(store *booking.Store, client int) error {
		random := rand.New(rand.NewPCG(1, uint64(client)))
		for range 15 {
			req := request(slot(0).Add(time.Duration(random.IntN(6)) * 30 * time.Minute))
			req.Party = 1 + random.IntN(4)
			b, err := store.Hold(context.Background(), req)
			switch {
			case errors.Is(err, booking.ErrSlotTaken):
				continue
			case err != nil:
				return err
			}
			heads.Add(int64(req.Party))
			if random.IntN(2) == 0 {
				if _, err := store.Release(context.Background(), b.ID); err != nil {
					return err
				}
				heads.Add(-int64(req.Party))
			}
		}
		return nil
	})
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.EqualValues(t, heads.Load(),
		count(t, db, `SELECT sum(party) FROM booking_platform.bookings WHERE status = 'pending'`))
	requireInvariants(t, db)
}

// Without the constraint both are sold, so the tests above can fail.
func TestHold_ControlWithoutConstraint(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	exec(t, db, `ALTER TABLE booking_platform.bookings DROP CONSTRAINT bookings_no_overlap`)
	var txs []*sql.Tx
	for range 2 {
		tx, err := db.BeginTx(t.Context(), readCommitted)
		require.NoError(t, err)
		_, err = store.Tx(tx).Hold(t.Context(), request(slot(0)))
		require.NoError(t, err)
		txs = append(txs, tx)
	}
	for _, tx := range txs {
		require.NoError(t, tx.Commit())
	}
	require.Equal(t, 1, count(t, db, soldTwice))
}

// The role's default isolation level is not READ COMMITTED.
func TestHold_ConcurrentAtOtherDefaultIsolation(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"serializable", "repeatable read"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			url := testdb.URL(t)
			db := testdb.Open(t, testdb.PQ, url)
			var name string
			require.NoError(t, db.QueryRowContext(t.Context(), `SELECT current_database()`).Scan(&name))
			exec(t, db, `ALTER DATABASE "`+name+`" SET default_transaction_isolation = '`+level+`'`)
			db = testdb.Open(t, testdb.PGX, url)
			create(t, newStore(t, db), func(r *booking.Resource) { r.Capacity = 16 })
			requireSold(t, 16, concurrently(t, db, 32, holdOnce(slot(0))))
			held, err := newStore(t, db).List(t.Context(), booking.ListOptions{})
			require.NoError(t, err)
			for _, b := range held.Bookings {
				expireHolds(t, db, b.ID)
			}
			requireSold(t, 16, concurrently(t, db, 32, holdOnce(slot(0))))
			requireInvariants(t, db)
		})
	}
}

// concurrentRun is 32 clients, capacity 10, parties of 1 to 4 on half-overlapping slots.
type concurrentRun struct {
	db       *sql.DB
	resource booking.Resource

	mu  sync.Mutex
	ids []string
}

const runStarts = 9

func (f *concurrentRun) add(b booking.Booking) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ids = append(f.ids, b.ID)
}

func (f *concurrentRun) some(random *rand.Rand) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.ids) == 0 {
		return "00000000-0000-7000-8000-000000000000"
	}
	return f.ids[random.IntN(len(f.ids))]
}

// operate runs a random operation.
func (f *concurrentRun) operate(ctx context.Context, store *booking.Store, random *rand.Rand) error {
	start, id := halfHour(random.IntN(runStarts)), f.some(random)
	switch random.IntN(16) {
	default:
		req := request(start)
		req.Party = 1 + random.IntN(4)
		b, err := store.Hold(ctx, req)
		if err == nil {
			f.add(b)
		}
		return err
	case 0:
		_, err := store.Confirm(ctx, id)
		return err
	case 1:
		_, err := store.Cancel(ctx, booking.CancelRequest{ID: id})
		return err
	case 2:
		return execReadCommitted(ctx, f.db, expireBothSQL, id, time.Now().Add(-time.Hour))
	case 3:
		_, err := store.ReleaseExpired(ctx)
		return err
	case 4, 5:
		_, err := store.Reschedule(ctx, moveTo(id, start))
		return err
	case 6:
		// A swap of two bookings in one transaction, over a third slot.
		other := f.some(random)
		return retryInTx(f.db, store, sql.LevelReadCommitted, func(tx *booking.Tx) error {
			mine, err := tx.Get(ctx, id)
			if err != nil {
				return err
			}
			theirs, err := tx.Get(ctx, other)
			if err != nil {
				return err
			}
			for _, req := range []booking.RescheduleRequest{
				moveTo(id, halfHour(runStarts+4)), moveTo(other, mine.Start),
				moveTo(id, theirs.Start)} {
				if _, err := tx.Reschedule(ctx, req); err != nil {
					return err
				}
			}
			return nil
		})
	case 7, 8:
		_, err := store.Retake(ctx, id)
		return err
	case 9:
		// Lower the capacity for a while, if possible.
		r := f.resource
		r.Capacity = 7 + random.IntN(4)
		_, err := store.ApplyResource(ctx, r, booking.ApplyOptions{})
		return err
	case 10:
		b, err := store.Block(ctx, booking.BlockRequest{Resource: "court", From: start.Add(7 * time.Minute),
			To: start.Add(50 * time.Minute), Units: 1})
		if err == nil {
			f.add(b)
		}
		return err
	}
}

// refusal is a documented one; deadlocks and retryable errors are not.
func refusal(err error) bool {
	var status *booking.StatusError
	var small *booking.CapacityError
	var invalid *booking.ValidationError
	if errors.As(err, &invalid) {
		// The party may exceed the capacity of that moment.
		return len(invalid.Fields) == 1 && invalid.Fields["party"] != ""
	}
	return errors.Is(err, booking.ErrSlotTaken) || errors.Is(err, booking.ErrHoldExpired) ||
		errors.Is(err, booking.ErrNotFound) ||
		errors.As(err, &status) || errors.As(err, &small)
}

// All operations run at once while holds expire: every error is a refusal, no unit is
// sold twice, histories are consistent, and all that remains can be held.
func TestStore_ConcurrentOperations(t *testing.T) {
	t.Parallel()
	db := testdb.Open(t, testdb.PGX, testdb.URL(t))
	f := &concurrentRun{db: db, resource: create(t, newStore(t, db), overlappingSlots(10))}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	errs := concurrently(t, db, 32, func(store *booking.Store, client int) error {
		random := rand.New(rand.NewPCG(seed, uint64(client)))
		for n := range 20 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			err := f.operate(ctx, store, random)
			cancel()
			if err != nil && (!refusal(err) || booking.IsRetryable(err)) {
				return fmt.Errorf("seed %d, client %d, operation %d: %w", seed, client, n, err)
			}
		}
		return nil
	})
	require.NoError(t, errors.Join(errs...))
	requireInvariants(t, db)
	requireHistory(t, db)
	require.Zero(t, count(t, db, `SELECT count(*) FROM booking_platform.bookings
		WHERE email = '' AND reason = '' AND kind = 'block' AND currency = 'xxx'`),
		"temporary rows are left")
	requireBookable(t, newStore(t, db), runStarts)
	requireInvariants(t, db)
}

// requireBookable holds exactly what remains.
func requireBookable(t *testing.T, store *booking.Store, starts int) {
	t.Helper()
	r, err := store.Resource(t.Context(), "court")
	require.NoError(t, err)
	for n := range starts {
		free, err := store.Slots(t.Context(), "court", halfHour(n), halfHour(n+1), 1)
		require.NoError(t, err)
		remaining := 0
		if len(free) > 0 {
			remaining = free[0].Remaining
		}
		req := request(halfHour(n))
		if req.Party = remaining + 1; req.Party <= r.Capacity {
			_, err = store.Hold(t.Context(), req)
			require.ErrorIs(t, err, booking.ErrSlotTaken, "more than remains")
		}
		if req.Party = remaining; remaining > 0 {
			hold(t, store, req)
		}
	}
}

// 32 clients want one of three overlapping slots, two at a time.
func TestHold_ConcurrentPartiesOnNeighbouringSlots(t *testing.T) {
	t.Parallel()
	db := testdb.Open(t, testdb.PQBinary, testdb.URL(t))
	create(t, newStore(t, db), overlappingSlots(10))
	errs := concurrently(t, db, 32, func(store *booking.Store, client int) error {
		req := request(halfHour(client % 3))
		req.Party = 2
		_, err := store.Hold(context.Background(), req)
		return err
	})
	sold := 0
	for _, err := range errs {
		if err == nil {
			sold++
			continue
		}
		require.ErrorIs(t, err, booking.ErrSlotTaken)
	}
	// The first and the last do not overlap; the middle one overlaps both.
	require.GreaterOrEqual(t, sold, 5)
	require.LessOrEqual(t, sold, 10)
	requireInvariants(t, db)
	requireBookable(t, newStore(t, db), 3)
	for n := range 3 {
		slots, err := newStore(t, db).Slots(t.Context(), "court", halfHour(n), halfHour(n+1), 1)
		require.NoError(t, err)
		require.Empty(t, slots)
	}
}
