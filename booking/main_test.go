package booking_test

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// newStore returns a store on a database.
func newStore(t testing.TB, db *sql.DB) *booking.Store {
	t.Helper()
	store, err := booking.New(db, booking.Options{})
	require.NoError(t, err)
	return store
}

// court is a resource that is always open, with slots of an hour.
func court() booking.Resource {
	return booking.Resource{
		Slug: "court", Name: "Court", TimeZone: "Europe/Paris", SlotLength: time.Hour,
		Price: booking.Money{Minor: 2500, Currency: "eur"},
	}
}

// create adds a resource, changed as the test needs it.
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

// slot is the instant a number of hours after a full hour in the near future.
func slot(hours int) time.Time {
	return time.Now().UTC().Truncate(time.Hour).Add(time.Duration(24+hours) * time.Hour)
}

var ada = booking.Customer{FirstName: "Ada", LastName: "Lovelace", Email: "ada@example.com"}

// request asks for one head on the court.
func request(start time.Time) booking.HoldRequest {
	return booking.HoldRequest{Resource: "court", Start: start, Customer: ada}
}

// hold takes a slot that must be free.
func hold(t testing.TB, store *booking.Store, req booking.HoldRequest) booking.Booking {
	t.Helper()
	b, err := store.Hold(t.Context(), req)
	require.NoError(t, err)
	return b
}

const (
	lapseHold     = `UPDATE booking_platform.bookings SET hold_expires_at = $2::timestamptz WHERE id = $1::uuid`
	lapseDeadline = `UPDATE booking_platform.hold_deadlines SET due_at = $2::timestamptz WHERE booking_id = $1::uuid`
)

// lapse lets the time of holds pass.
func lapse(t testing.TB, db *sql.DB, ids ...string) {
	t.Helper()
	for _, id := range ids {
		for _, statement := range []string{lapseHold, lapseDeadline} {
			exec(t, db, statement, id, time.Now().Add(-time.Hour))
		}
	}
}

func exec(t testing.TB, db booking.Querier, query string, args ...any) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), query, args...)
	require.NoError(t, err)
}

// count runs a query for one number.
func count(t testing.TB, db booking.Querier, query string, args ...any) int {
	t.Helper()
	var n int
	require.NoError(t, db.QueryRowContext(t.Context(), query, args...).Scan(&n))
	return n
}

// soldTwice is the invariant: it counts the pairs of active bookings that share a unit of a resource at the same
// time.
const soldTwice = `
SELECT count(*)
FROM booking_platform.bookings a JOIN booking_platform.bookings b ON a.resource_id = b.resource_id AND a.id < b.id
WHERE a.status IN ('pending', 'confirmed') AND b.status IN ('pending', 'confirmed')
  AND a.blocked && b.blocked AND a.units && b.units`

// oversold counts the active bookings that have units their resource does not have, or another number than their
// party.
const oversold = `
SELECT count(*) FROM booking_platform.bookings b JOIN booking_platform.resources r ON r.id = b.resource_id
WHERE NOT b.units <@ int4range(1, r.capacity + 1)
   OR b.party <> (SELECT sum(upper(u) - lower(u)) FROM unnest(b.units) AS u)`

func requireInvariants(t testing.TB, db booking.Querier) {
	t.Helper()
	require.Zero(t, count(t, db, soldTwice), "units sold twice")
	require.Zero(t, count(t, db, oversold), "units that do not exist, or not as many as the party")
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
