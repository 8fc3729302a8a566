package booking_test

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// crowds bounds how many tests crowd the server at a time, which has only so many
// connections.
var crowds = make(chan struct{}, 2)

// atOnce runs f for n clients that all start together, spread over a few stores as over
// replicas, on 32 connections.
func atOnce(t *testing.T, db *sql.DB, n int, f func(store *booking.Store, client int) error) []error {
	t.Helper()
	crowds <- struct{}{}
	defer func() { <-crowds }()
	db.SetMaxOpenConns(32)
	stores := []*booking.Store{newStore(t, db), newStore(t, db), newStore(t, db)}
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for client := range n {
		wg.Go(func() {
			<-start
			errs[client] = f(stores[client%len(stores)], client)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// requireSold checks that exactly so many succeeded and that everyone else was told that
// the slot is taken, and nothing else.
func requireSold(t *testing.T, want int, errs []error) {
	t.Helper()
	sold := 0
	for _, err := range errs {
		if err == nil {
			sold++
			continue
		}
		require.ErrorIs(t, err, booking.ErrSlotTaken)
	}
	require.Equal(t, want, sold)
}

func holdOnce(start time.Time) func(*booking.Store, int) error {
	return func(store *booking.Store, _ int) error {
		_, err := store.Hold(context.Background(), request(start))
		return err
	}
}

func TestHundredClientsOneSlot(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		create(t, newStore(t, db))
		requireSold(t, 1, atOnce(t, db, 100, holdOnce(slot(0))))
		requireInvariants(t, db)
	})
}

func TestAsManyClientsAsUnitsAllGetOne(t *testing.T) {
	t.Parallel()
	eachLibrary(t, func(t *testing.T, db *sql.DB) {
		create(t, newStore(t, db), func(r *booking.Resource) { r.Capacity = 32 })
		for round := range 3 {
			requireSold(t, 32, atOnce(t, db, 32, holdOnce(slot(round))))
		}
		requireInvariants(t, db)
	})
}

// Slots of an hour that begin every half hour, so that each is in the way of its
// neighbours.
func TestPartiesOnOverlappingSlots(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	create(t, newStore(t, db), func(r *booking.Resource) { r.Capacity, r.SlotStep = 10, 30*time.Minute })
	var heads atomic.Int64
	errs := atOnce(t, db, 32, func(store *booking.Store, client int) error {
		random := rand.New(rand.NewPCG(1, uint64(client)))
		for range 30 {
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

// Without the constraint the slot is sold twice: the tests above can fail. Two
// transactions overlap here in a way that needs no luck.
func TestControlWithoutTheConstraintASlotIsSoldTwice(t *testing.T) {
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

// A role may have another isolation level than READ COMMITTED by default; what is sold
// must be the same.
func TestContentionAtOtherDefaultIsolationLevels(t *testing.T) {
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
			requireSold(t, 16, atOnce(t, db, 32, holdOnce(slot(0))))
			held, err := newStore(t, db).List(t.Context(), booking.ListOptions{})
			require.NoError(t, err)
			for _, b := range held.Bookings {
				lapse(t, db, b.ID)
			}
			requireSold(t, 16, atOnce(t, db, 32, holdOnce(slot(0))))
			requireInvariants(t, db)
		})
	}
}
