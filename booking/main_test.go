package booking_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// eachLibrary is [testdb.EachDriver] with one driver per library, for costly tests.
func eachLibrary(t *testing.T, f func(t *testing.T, db *sql.DB)) {
	for _, driver := range []testdb.Driver{testdb.PQBinary, testdb.PGX} {
		t.Run(string(driver), func(t *testing.T) {
			t.Parallel()
			f(t, testdb.Open(t, driver, testdb.URL(t)))
		})
	}
}

func newStore(t testing.TB, db *sql.DB) *booking.Store {
	t.Helper()
	store, err := booking.New(db, booking.Options{})
	require.NoError(t, err)
	return store
}

// court is always open, with slots of an hour.
func court() booking.Resource {
	return booking.Resource{
		Slug: "court", Name: "Court", TimeZone: "Europe/Paris", SlotLength: time.Hour,
		Price: booking.Money{Minor: 2500, Currency: "eur"},
	}
}

func create(t testing.TB, store *booking.Store, change ...func(*booking.Resource)) booking.Resource {
	t.Helper()
	r := court()
	for _, c := range change {
		c(&r)
	}
	r, err := store.CreateResource(t.Context(), r)
	require.NoError(t, err)
	return r
}

// slot is so many hours after a full hour about a day ahead.
func slot(hours int) time.Time {
	return time.Now().UTC().Truncate(time.Hour).Add(time.Duration(24+hours) * time.Hour)
}

var ada = booking.Customer{FirstName: "Ada", LastName: "Lovelace", Email: "ada@example.com"}

func request(start time.Time) booking.HoldRequest {
	return booking.HoldRequest{Resource: "court", Start: start, Customer: ada}
}

func hold(t testing.TB, store *booking.Store, req booking.HoldRequest) booking.Booking {
	t.Helper()
	b, err := store.Hold(t.Context(), req)
	require.NoError(t, err)
	return b
}

// readCommitted is for transactions that need to see later commits, whatever the default.
var readCommitted = &sql.TxOptions{Isolation: sql.LevelReadCommitted}

// execReadCommitted runs a statement that may wait for concurrent changes of its rows.
func execReadCommitted(ctx context.Context, db *sql.DB, query string, args ...any) error {
	tx, err := db.BeginTx(ctx, readCommitted)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, query, args...); err != nil {
		return err
	}
	return tx.Commit()
}

const (
	expireHoldSQL     = `UPDATE booking_platform.bookings SET hold_expires_at = $2::timestamptz WHERE id = $1::uuid`
	expireDeadlineSQL = `UPDATE booking_platform.hold_deadlines SET due_at = $2::timestamptz
		WHERE booking_id = $1::uuid`
)

// expireHolds lets holds expire.
func expireHolds(t testing.TB, db *sql.DB, ids ...string) {
	t.Helper()
	for _, id := range ids {
		for _, statement := range []string{expireHoldSQL, expireDeadlineSQL} {
			exec(t, db, statement, id, time.Now().Add(-time.Hour))
		}
	}
}

func exec(t testing.TB, db booking.Querier, query string, args ...any) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), query, args...)
	require.NoError(t, err)
}

// execRetried repeats a statement that conflicts under a stricter default isolation.
func execRetried(ctx context.Context, db booking.Querier, query string, args ...any) error {
	for {
		if _, err := db.ExecContext(ctx, query, args...); !booking.IsRetryable(err) {
			return err
		}
	}
}

func count(t testing.TB, db booking.Querier, query string, args ...any) int {
	t.Helper()
	for {
		var n int
		err := db.QueryRowContext(t.Context(), query, args...).Scan(&n)
		if booking.IsRetryable(err) {
			continue // As in execRetried; in a transaction the next error is another.
		}
		require.NoError(t, err)
		return n
	}
}

// soldTwice counts pairs of bookings that share a unit at a time, buffers and completed
// ones included.
const soldTwice = `
SELECT count(*)
FROM booking_platform.bookings a JOIN booking_platform.bookings b ON a.resource_id = b.resource_id AND a.id < b.id
WHERE (a.status IN ('pending', 'confirmed')
    OR a.status IN ('completed', 'no_show') AND upper(a.blocked) > upper(a.during))
  AND (b.status IN ('pending', 'confirmed')
    OR b.status IN ('completed', 'no_show') AND upper(b.blocked) > upper(b.during))
  AND a.blocked && b.blocked AND a.units && b.units`

// oversold counts active bookings with units above the capacity, or not their party's
// number.
const oversold = `
SELECT count(*) FROM booking_platform.bookings b JOIN booking_platform.resources r ON r.id = b.resource_id
WHERE b.status IN ('pending', 'confirmed') AND (
    NOT b.units <@ int4range(1, r.capacity + 1)
    OR b.party <> (SELECT sum(upper(u) - lower(u)) FROM unnest(b.units) AS u)
)`

func requireInvariants(t testing.TB, db booking.Querier) {
	t.Helper()
	require.Zero(t, count(t, db, soldTwice), "a unit is sold twice")
	require.Zero(t, count(t, db, oversold), "units above the capacity, or not as many as the party")
}

// requireFields checks that an error names exactly these fields.
func requireFields(t testing.TB, err error, fields ...string) {
	t.Helper()
	var invalid *booking.ValidationError
	require.ErrorAs(t, err, &invalid)
	var got []string
	for field, problem := range invalid.Fields {
		require.NotEmpty(t, problem)
		got = append(got, field)
	}
	require.ElementsMatch(t, fields, got, fmt.Sprint(invalid.Fields))
}

// brokenHistory lists histories that do not begin with an empty status, continue the one
// before, have valid transitions only, and end with the booking's status and start.
const brokenHistory = `
WITH changes AS (
    SELECT h.booking_id, h.from_status, h.to_status, h.from_start, h.to_start,
           lag(h.to_status, 1, '') OVER w AS before, lead(h.id) OVER w IS NULL AS last
    FROM booking_platform.booking_history h WINDOW w AS (PARTITION BY h.booking_id ORDER BY h.id)
), moves AS (
    SELECT h.booking_id, h.from_start, h.to_start, lag(h.to_start) OVER w AS before, lead(h.id) OVER w IS NULL AS last
    FROM booking_platform.booking_history h WHERE h.from_start IS NOT NULL OR h.to_start IS NOT NULL
    WINDOW w AS (PARTITION BY h.booking_id ORDER BY h.id)
)
SELECT b.id || ': no history'
FROM booking_platform.bookings b WHERE NOT EXISTS (SELECT FROM changes c WHERE c.booking_id = b.id)
UNION ALL
SELECT c.booking_id || ': from "' || c.from_status || '" after "' || c.before || '"'
FROM changes c WHERE c.from_status <> c.before
UNION ALL
SELECT c.booking_id || ': from "' || c.from_status || '" to "' || c.to_status || '"'
FROM changes c WHERE (c.from_status, c.to_status) NOT IN (
    ('', 'pending'), ('', 'confirmed'), ('pending', 'confirmed'), ('pending', 'cancelled'), ('pending', 'expired'),
    ('confirmed', 'cancelled'), ('confirmed', 'completed'), ('confirmed', 'no_show'), ('completed', 'no_show'),
    ('no_show', 'completed'), ('expired', 'confirmed')
) AND NOT (c.from_status = c.to_status AND c.from_status IN ('pending', 'confirmed') AND c.from_start <> c.to_start)
UNION ALL
SELECT c.booking_id || ': ended "' || c.to_status || '" and is "' || COALESCE(b.status, '') || '"'
FROM changes c LEFT JOIN booking_platform.bookings b ON b.id = c.booking_id
WHERE c.last AND b.status IS DISTINCT FROM c.to_status
UNION ALL
SELECT m.booking_id || ': moved from ' || COALESCE(m.from_start::text, 'nowhere')
    || ' to ' || COALESCE(m.to_start::text, 'nowhere')
FROM moves m JOIN booking_platform.bookings b ON b.id = m.booking_id
WHERE m.from_start IS NULL OR m.to_start IS NULL OR m.from_start <> m.before
    OR m.last AND m.to_start <> lower(b.during)`

func requireHistory(t testing.TB, db booking.Querier) {
	t.Helper()
	var broken []string
	rows, err := db.QueryContext(t.Context(), brokenHistory)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var what string
		require.NoError(t, rows.Scan(&what))
		broken = append(broken, what)
	}
	require.NoError(t, rows.Err())
	require.Empty(t, broken)
}

// manyConnections bounds the tests with many connections, of which the server has a
// maximum.
var manyConnections = make(chan struct{}, 2)

// concurrently starts n clients together, on three stores and 32 connections.
func concurrently(t *testing.T, db *sql.DB, n int, f func(store *booking.Store, client int) error) []error {
	t.Helper()
	manyConnections <- struct{}{}
	defer func() { <-manyConnections }()
	db.SetMaxOpenConns(32)
	db.SetMaxIdleConns(32) // The default of two idle connections would reconnect all the time.
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

// requireSold: want clients succeeded and the others got ErrSlotTaken.
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

// retryInTx retries the whole transaction as documented.
func retryInTx(db *sql.DB, store *booking.Store, level sql.IsolationLevel, f func(tx *booking.Tx) error) error {
	for {
		err := func() error {
			tx, err := db.BeginTx(context.Background(), &sql.TxOptions{Isolation: level})
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback() }()
			if err := f(store.Tx(tx)); err != nil {
				return err
			}
			return tx.Commit()
		}()
		if !booking.IsRetryable(err) {
			return err
		}
	}
}

var levels = map[string]sql.IsolationLevel{
	"read committed": sql.LevelReadCommitted, "repeatable read": sql.LevelRepeatableRead,
	"serializable": sql.LevelSerializable,
}

// waitForLock returns once a statement waits for a lock.
func waitForLock(t *testing.T, db *sql.DB) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		if count(t, db,
			`SELECT count(*) FROM pg_stat_activity
				WHERE datname = current_database() AND wait_event_type = 'Lock'`) > 0 {
			return
		}
		require.True(t, time.Now().Before(deadline), "no statement waits for a lock")
	}
}
