package booking_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestNew_InvalidArguments(t *testing.T) {
	t.Parallel()
	_, err := booking.New(nil, booking.Options{})
	require.Error(t, err)
}

func TestNew_InvalidOptions(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	for _, opts := range []booking.Options{
		{MaxHoldsPerEmail: -1}, {MaxHoldsPerClient: -1}, {MaxHoldsPerEmail: 1001}, {MaxHoldsPerClient: 1001},
		{MaxHoldsPerEmailAnywhere: 3}, {MaxHoldsPerEmail: 3, MaxHoldsPerEmailAnywhere: 2},
		{MaxHoldsPerEmail: 3, MaxHoldsPerEmailAnywhere: 1001},
		{OwnerSecrets: []string{""}}, {OwnerSecrets: []string{strings.Repeat("x", 32), strings.Repeat("x", 31)}},
	} {
		_, err := booking.New(db, opts)
		require.Error(t, err, "%+v", opts)
		require.NotContains(t, err.Error(), "xxx", "the error contains no secret")
	}
	store := withLimits(t, db, 1000, 1000)
	create(t, store)
	hold(t, store, requestFrom(slot(0), ada.Email, strings.Repeat("é", 255)))
	_, err := store.Hold(t.Context(), requestFrom(slot(1), ada.Email, strings.Repeat("é", 256)))
	requireFields(t, err, "client")
	_, err = store.Hold(t.Context(), requestFrom(slot(1), ada.Email, "\x00"))
	requireFields(t, err, "client")
}

// sessions is the reason why these tests bypass the pooler.
const sessions = "a prepared statement is the session's"

func withPrepare(t testing.TB, db *sql.DB) *booking.Store {
	t.Helper()
	store, err := booking.New(db, booking.Options{Prepare: true, MaxHoldsPerEmail: 40, OwnerSecrets: secrets})
	require.NoError(t, err)
	return store
}

// playHotPath runs every prepared operation often enough for generic plans.
func playHotPath(t *testing.T, store *booking.Store, day int) {
	t.Helper()
	for n := range 8 {
		start := slot(24*day + n)
		b := hold(t, store, request(start))
		_, err := store.Hold(t.Context(), request(start))
		require.ErrorIs(t, err, booking.ErrSlotTaken)
		slots, err := store.Slots(t.Context(), "court", slot(24*day), slot(24*day+8), 1)
		require.NoError(t, err)
		require.Len(t, slots, 7-n)
		if n%2 == 0 {
			b, err = store.Confirm(t.Context(), b.ID)
		} else {
			b, err = store.ConfirmLate(t.Context(), b.ID)
		}
		require.NoError(t, err)
		require.Equal(t, booking.StatusConfirmed, b.Status)
		for _, hour := range []int{12, n} {
			moved, err := store.Reschedule(t.Context(), moveTo(b.ID, slot(24*day+hour)))
			require.NoError(t, err)
			require.True(t, moved.Start.Equal(slot(24*day+hour)))
		}
	}
}

// hotStatements counts the prepared statements.
const hotStatements = `SELECT count(*) FROM pg_prepared_statements
	WHERE statement LIKE '%booking_platform.%' AND statement NOT LIKE '%' || 'pg_prepared' || '%'`

func TestPrepare_EveryDriver(t *testing.T) {
	t.Parallel()
	testdb.EachDriverDirect(t, sessions, func(t *testing.T, db *sql.DB) {
		db.SetMaxOpenConns(1)
		store := withPrepare(t, db)
		create(t, store)
		playHotPath(t, store, 1)
		require.GreaterOrEqual(t, count(t, db, hotStatements), 8)

		// A new connection has no prepared statements.
		db.SetMaxIdleConns(0)
		db.SetMaxIdleConns(1)
		playHotPath(t, store, 2)
		require.GreaterOrEqual(t, count(t, db, hotStatements), 8)
		requireInvariants(t, db)
		requireHistory(t, db)
	})
}

// One operation may fail; the next ones work.
func TestPrepare_ConnectionTerminated(t *testing.T) {
	t.Parallel()
	for _, driver := range testdb.Drivers {
		t.Run(string(driver), func(t *testing.T) {
			t.Parallel()
			url := testdb.Direct(t, testdb.URL(t), sessions)
			db, admin := testdb.Open(t, driver, url), testdb.Open(t, testdb.PQ, url)
			db.SetMaxOpenConns(1)
			store := withPrepare(t, db)
			create(t, store)
			playHotPath(t, store, 1)
			exec(t, admin, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
				WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`)
			for range 3 {
				if _, err := store.Slots(t.Context(), "court", slot(0), slot(1), 1); err == nil {
					break
				}
			}
			playHotPath(t, store, 2)
			require.GreaterOrEqual(t, count(t, db, hotStatements), 8)
		})
	}
}

// Also with a full resource and a changed table.
func TestPrepare_ConcurrentAndSchemaChange(t *testing.T) {
	t.Parallel()
	db := testdb.Open(t, testdb.PQBinary, testdb.Direct(t, testdb.URL(t), sessions))
	store := withPrepare(t, db)
	create(t, store, func(r *booking.Resource) { r.Capacity = 16 })
	for n := range 3 {
		requireSold(t, 16, concurrently(t, db, 32, func(*booking.Store, int) error {
			_, err := store.Hold(context.Background(), request(slot(n)))
			return err
		}))
		exec(t, db, `ALTER TABLE booking_platform.bookings ADD COLUMN extra`+string(rune('a'+n))+
			` integer NOT NULL DEFAULT 7`)
		exec(t, db, `UPDATE booking_platform.bookings SET status = 'confirmed'`)
	}
	requireInvariants(t, db)
}

// With lib/pq too, a prepared operation is one round trip.
func TestPrepare_RoundTrips(t *testing.T) {
	t.Parallel()
	for _, binary := range []bool{true, false} {
		db, trips := testdb.CountingWith(t, binary)
		db.SetMaxOpenConns(1)
		store := withPrepare(t, db)
		create(t, store)
		playHotPath(t, store, 1)
		before := trips.Load()
		b := hold(t, store, request(slot(100)))
		_, err := store.Slots(t.Context(), "court", slot(100), slot(105), 1)
		require.NoError(t, err)
		_, err = store.Confirm(t.Context(), b.ID)
		require.NoError(t, err)
		require.EqualValues(t, 3, trips.Load()-before)
	}
}

// First moves hold the resource's lock while they prepare statements; they must not wait
// for connections of each other.
func TestPrepare_ConcurrentFirstUse(t *testing.T) {
	t.Parallel()
	const clients = 24
	db := testdb.Open(t, testdb.PQBinary, testdb.Direct(t, testdb.URL(t), sessions))
	db.SetMaxOpenConns(clients)
	db.SetMaxIdleConns(clients)
	create(t, newStore(t, db), overlappingSlots(1))
	ids := make([]string, clients)
	for n := range ids {
		ids[n] = hold(t, newStore(t, db), request(slot(n))).ID
	}
	for range 10 {
		store := withPrepare(t, db)
		ended := make(chan []error, 1)
		go func() {
			ended <- concurrently(t, db, clients, func(_ *booking.Store, client int) error {
				_, err := store.Reschedule(context.Background(), moveTo(ids[client], halfHour(client*2+1)))
				if errors.Is(err, booking.ErrSlotTaken) {
					return nil
				}
				return err
			})
		}()
		select {
		case errs := <-ended:
			for _, err := range errs {
				require.NoError(t, err)
			}
		case <-time.After(time.Minute):
			// Cleanup would hang too, so this is no t.Fatal.
			panic("deadlock between the first moves of a store")
		}
	}
}
