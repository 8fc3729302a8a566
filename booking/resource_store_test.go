package booking_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// Changing a returned value does not change the cache.
func TestResource_ReturnsCopies(t *testing.T) {
	t.Parallel()
	store := newStore(t, testdb.New(t))
	r := create(t, store, func(r *booking.Resource) { r.Hours = daily(0, 1440) })
	hold(t, store, request(slot(0)))
	got, err := store.Resource(t.Context(), r.ID)
	require.NoError(t, err)
	for n := range got.Hours {
		got.Hours[n].Closes = 1
	}
	hold(t, store, request(slot(1)))
}

// A resource that was evicted is read again.
func TestResource_CacheIsBounded(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	exec(t, db, `
		INSERT INTO booking_platform.resources (
			id, slug, name, time_zone, capacity, slot_seconds, step_seconds, horizon_seconds, hold_seconds,
				price_minor, currency
		)
		SELECT gen_random_uuid(), 'r' || n, 'R', 'UTC', 1, 3600, 3600, 31536000, 600, 0, 'eur'
		FROM generate_series(1, $1::integer) n`, booking.MaxCached+20)
	for n := range booking.MaxCached + 20 {
		_, err := store.Resource(t.Context(), fmt.Sprintf("r%d", n+1))
		require.NoError(t, err)
	}
	require.Equal(t, booking.MaxCached, store.Cached())
	for n := range 40 {
		req := request(slot(0))
		req.Resource = fmt.Sprintf("r%d", n+1)
		hold(t, store, req)
	}
	require.Equal(t, booking.MaxCached, store.Cached())
}

// Every way to change the rows by SQL is noticed.
func TestResource_ChangedBySQL(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	day := slot(72).UTC().Truncate(24 * time.Hour)
	r := create(t, store, offer(nil), func(r *booking.Resource) {
		r.TimeZone = "UTC"
		r.Exceptions = []booking.Exception{{Date: booking.DateOf(day)}}
	})
	other := create(t, store, func(r *booking.Resource) { r.Slug = "other" })
	version := func(id string) (v string) {
		require.NoError(t, db.QueryRow(`SELECT version::text FROM booking_platform.resources WHERE id = $1::uuid`,
			id).Scan(&v))
		return v
	}
	_, err := store.Hold(t.Context(), request(day))
	requireFields(t, err, "start")
	for _, step := range []struct {
		statement string
		others    bool
		look      func(booking.Resource)
	}{
		{`DELETE FROM booking_platform.opening_exceptions`, false,
			func(r booking.Resource) { require.Empty(t, r.Exceptions) }},
		{`INSERT INTO booking_platform.opening_exceptions (resource_id, on_date, opens_minute, closes_minute)
			SELECT id, '2026-12-24', 60, 120 FROM booking_platform.resources WHERE slug = 'court'`, false,
			func(r booking.Resource) {
				require.Equal(t, []booking.Interval{{Opens: 60, Closes: 120}}, r.Exceptions[0].Hours)
			}},
		{`UPDATE booking_platform.opening_exceptions SET closes_minute = 180`, false,
			func(r booking.Resource) { require.Equal(t, 180, r.Exceptions[0].Hours[0].Closes) }},
		{`TRUNCATE booking_platform.opening_exceptions`, true,
			func(r booking.Resource) { require.Empty(t, r.Exceptions) }},
		{`UPDATE booking_platform.offers SET active = false`, false,
			func(r booking.Resource) { require.True(t, r.Offers[0].Inactive) }},
		{`UPDATE booking_platform.offers 
			SET resource_id = (SELECT id FROM booking_platform.resources WHERE slug = 'other')`, true,
			func(r booking.Resource) { require.Empty(t, r.Offers) }},
		{`INSERT INTO booking_platform.offers SELECT r.id, o.slug, o.name, 0, 60, 60, 0, 0, 0, true
			FROM booking_platform.offers o, booking_platform.resources r WHERE r.slug = 'court'`, false,
			func(r booking.Resource) { require.Equal(t, time.Minute, r.Offers[0].SlotLength) }},
		{`TRUNCATE booking_platform.offers`, true, func(r booking.Resource) { require.Empty(t, r.Offers) }},
	} {
		was, othersWas := version(r.ID), version(other.ID)
		exec(t, db, step.statement)
		require.NotEqual(t, was, version(r.ID), step.statement)
		require.Equal(t, step.others, othersWas != version(other.ID), step.statement)
		got, err := store.Resource(t.Context(), "court")
		require.NoError(t, err)
		step.look(got)
	}
	hold(t, store, request(day))
}

func TestResource_RemovedException(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	day := slot(72).UTC().Truncate(24 * time.Hour)
	create(t, store, func(r *booking.Resource) { r.TimeZone = "UTC" })
	hold(t, store, request(day))
	exec(t, db, `INSERT INTO booking_platform.opening_exceptions SELECT id, $1::date, 0, 0
		FROM booking_platform.resources`, day)
	_, err := store.Hold(t.Context(), request(day.Add(time.Hour)))
	requireFields(t, err, "start")
}

// A replica with cached rules uses the new ones for its next hold or list.
func TestResource_ChangedOnAnotherReplica(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	r := create(t, store)
	warm := func() {
		_, err := store.Slots(t.Context(), "court", slot(0), slot(1), 1)
		require.NoError(t, err)
	}
	price := func(hours int) int64 {
		b := hold(t, store, request(slot(hours)))
		return b.Amount.Minor
	}
	warm()
	require.EqualValues(t, 2500, price(0))
	exec(t, db, `UPDATE booking_platform.resources SET price_minor = 3000`)
	require.EqualValues(t, 3000, price(1), "another price")

	warm()
	exec(t, db, `UPDATE booking_platform.resources SET slot_seconds = 1800, step_seconds = 1800`)
	hold(t, store, request(slot(2).Add(30*time.Minute)))
	warm()
	exec(t, db, `UPDATE booking_platform.resources SET slot_seconds = 3600, step_seconds = 3600`)
	_, err := store.Hold(t.Context(), request(slot(3).Add(30*time.Minute)))
	requireFields(t, err, "start")

	warm()
	for weekday := range 7 {
		exec(t, db, `INSERT INTO booking_platform.opening_hours VALUES ($1::uuid, $2::smallint, 0, 1)`, r.ID, weekday)
	}
	slots, err := store.Slots(t.Context(), "court", slot(0), slot(100), 1)
	require.NoError(t, err)
	require.Empty(t, slots)
	_, err = store.Hold(t.Context(), request(slot(4)))
	requireFields(t, err, "start")
	exec(t, db, `TRUNCATE booking_platform.opening_hours`)
	slots, err = store.Slots(t.Context(), "court", slot(0), slot(100), 1)
	require.NoError(t, err)
	require.NotEmpty(t, slots, "open around the clock again")
	hold(t, store, request(slot(4)))

	exec(t, db, `UPDATE booking_platform.resources SET active = false`)
	_, err = store.Hold(t.Context(), request(slot(5)))
	requireFields(t, err, "resource")
	exec(t, db, `UPDATE booking_platform.resources SET active = true`)
	hold(t, store, request(slot(5)))

	// Another resource gets the slug.
	exec(t, db, `UPDATE booking_platform.resources SET slug = 'old'`)
	other := create(t, store, func(r *booking.Resource) { r.Capacity = 7 })
	require.Equal(t, other.ID, hold(t, store, request(slot(6))).ResourceID)
}

func TestResource_ChangeRolledBack(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	exec(t, tx, `UPDATE booking_platform.resources SET price_minor = 1`)
	b, err := store.Tx(tx).Hold(context.Background(), request(slot(0)))
	require.NoError(t, err)
	require.EqualValues(t, 1, b.Amount.Minor)
	require.NoError(t, tx.Rollback())
	exec(t, db, `UPDATE booking_platform.resources SET price_minor = 2`)
	require.EqualValues(t, 2, hold(t, store, request(slot(0))).Amount.Minor)
}
