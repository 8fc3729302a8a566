package booking_test

import (
	"database/sql"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestCreateResource(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		plain, err := store.CreateResource(t.Context(), booking.Resource{
			Slug: "plain", Name: "Plain", TimeZone: "UTC", SlotLength: 90 * time.Minute, Price: booking.Money{Currency: "EUR"},
		})
		require.NoError(t, err)
		require.Equal(t, booking.Resource{
			ID: plain.ID, Slug: "plain", Name: "Plain", TimeZone: "UTC", Capacity: 1, SlotLength: 90 * time.Minute,
			SlotStep: 90 * time.Minute, Horizon: 365 * 24 * time.Hour, HoldFor: 35 * time.Minute, Price: booking.Money{Currency: "eur"},
			Active: true, CreatedAt: plain.CreatedAt, UpdatedAt: plain.UpdatedAt,
		}, plain)
		require.WithinDuration(t, time.Now(), plain.CreatedAt, time.Minute)

		full := booking.Resource{
			Slug: "full", Name: "A full one", Description: "Two\nlines, an 'apostrophe' and ünïcode",
			TimeZone: "Australia/Lord_Howe", Capacity: 12, SlotLength: 45 * time.Minute, SlotStep: 15 * time.Minute,
			BufferBefore: time.Minute, BufferAfter: 2 * time.Minute,
			Notice: time.Hour, Horizon: 30 * 24 * time.Hour, HoldFor: 20 * time.Minute, Price: booking.Money{Minor: 1999, Currency: "usd"},
			Hours: []booking.Hours{
				{Weekday: time.Sunday, Opens: 1320, Closes: 1560}, {Weekday: time.Tuesday, Opens: 540, Closes: 720},
				{Weekday: time.Tuesday, Opens: 780, Closes: 1020},
			},
		}
		stored, err := store.CreateResource(t.Context(), full)
		require.NoError(t, err)
		full.ID, full.Active, full.CreatedAt, full.UpdatedAt = stored.ID, true, stored.CreatedAt, stored.UpdatedAt
		require.Equal(t, full, stored)
		for _, idOrSlug := range []string{"full", stored.ID, strings.ToUpper(stored.ID)} {
			got, err := store.Resource(t.Context(), idOrSlug)
			require.NoError(t, err)
			require.Equal(t, full, got)
		}
		all, err := store.Resources(t.Context())
		require.NoError(t, err)
		require.Equal(t, []booking.Resource{full, plain}, all)

		_, err = store.CreateResource(t.Context(), full)
		requireFields(t, err, "slug")
		for _, unknown := range []string{"nothing", "", "Ü", "019a2b3c-0000-7000-8000-000000000000"} {
			_, err = store.Resource(t.Context(), unknown)
			require.ErrorIs(t, err, booking.ErrNotFound)
		}
	})
}

// A caller may change what it was given without changing what the store sells by.
func TestResourcesAreCopies(t *testing.T) {
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

func TestCreateResourceRefuses(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	wrong := map[string][]func(*booking.Resource){
		"slug": {
			func(r *booking.Resource) { r.Slug = "" }, func(r *booking.Resource) { r.Slug = "With Space" },
			func(r *booking.Resource) { r.Slug = "-a" }, func(r *booking.Resource) { r.Slug = strings.Repeat("a", 64) },
			func(r *booking.Resource) { r.Slug = "019a2b3c-0000-7000-8000-000000000000" },
		},
		"name": {
			func(r *booking.Resource) { r.Name = " " }, func(r *booking.Resource) { r.Name = strings.Repeat("n", 201) },
			func(r *booking.Resource) { r.Name = "a\x00b" }, func(r *booking.Resource) { r.Name = "a\xffb" },
		},
		"description": {
			func(r *booking.Resource) { r.Description = strings.Repeat("d", 10001) },
			func(r *booking.Resource) { r.Description = "\x1b[1m" },
		},
		"timeZone": {
			func(r *booking.Resource) { r.TimeZone = "" }, func(r *booking.Resource) { r.TimeZone = "Local" },
			func(r *booking.Resource) { r.TimeZone = "Mars/Olympus" }, func(r *booking.Resource) { r.TimeZone = "../../etc/passwd" },
		},
		"capacity": {func(r *booking.Resource) { r.Capacity = -1 }, func(r *booking.Resource) { r.Capacity = 10001 }},
		"slotLength": {
			func(r *booking.Resource) { r.SlotLength = 32 * 24 * time.Hour },
			func(r *booking.Resource) { r.SlotLength, r.SlotStep = time.Hour+time.Millisecond, time.Hour },
		},
		"slotStep":     {func(r *booking.Resource) { r.SlotStep = time.Second }, func(r *booking.Resource) { r.SlotStep = 25 * time.Hour }},
		"bufferBefore": {func(r *booking.Resource) { r.BufferBefore = -1 }},
		"bufferAfter":  {func(r *booking.Resource) { r.BufferAfter = 8 * 24 * time.Hour }},
		"notice":       {func(r *booking.Resource) { r.Notice = -time.Hour }},
		"horizon":      {func(r *booking.Resource) { r.Horizon = -time.Hour }},
		"holdFor":      {func(r *booking.Resource) { r.HoldFor = time.Millisecond }},
		"price": {
			func(r *booking.Resource) { r.Price.Minor = -1 },
			func(r *booking.Resource) { r.Price.Minor, r.Capacity = math.MaxInt64/2, 3 },
		},
		"currency": {func(r *booking.Resource) { r.Price.Currency = "" }, func(r *booking.Resource) { r.Price.Currency = "e\x00r" }},
		"hours": {
			func(r *booking.Resource) { r.Hours = []booking.Hours{{Weekday: 7, Opens: 0, Closes: 60}} },
			func(r *booking.Resource) { r.Hours = []booking.Hours{{Opens: 1440, Closes: 1500}} },
			func(r *booking.Resource) { r.Hours = []booking.Hours{{Opens: 60, Closes: 60}} },
			func(r *booking.Resource) { r.Hours = []booking.Hours{{Opens: 60, Closes: 1501}} },
			func(r *booking.Resource) {
				r.Hours = append(daily(60, 120), booking.Hours{Weekday: 3, Opens: 119, Closes: 130})
			},
			func(r *booking.Resource) {
				r.Hours = []booking.Hours{{Weekday: 6, Opens: 1380, Closes: 1560}, {Weekday: 0, Opens: 60, Closes: 90}}
			},
			func(r *booking.Resource) {
				r.Hours = []booking.Hours{{Weekday: 2, Opens: 0, Closes: 60}, {Weekday: 1, Opens: 1400, Closes: 1441}}
			},
		},
	}
	var fields []string
	all := court()
	for field, changes := range wrong {
		fields = append(fields, field)
		for n, change := range changes {
			r := court()
			change(&r)
			_, err := store.CreateResource(t.Context(), r)
			requireFields(t, err, field)
			if n == 0 {
				change(&all)
			}
		}
	}
	_, err := store.CreateResource(t.Context(), all)
	requireFields(t, err, fields...)
	_, err = store.CreateResource(t.Context(), booking.Resource{})
	requireFields(t, err, "slug", "name", "timeZone", "slotLength", "slotStep", "currency")
	require.Zero(t, count(t, db, `SELECT count(*) FROM booking_platform.resources`))
}

// What is kept in memory is bounded, and a resource that was dropped from it is read again.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	exec(t, db, `
		INSERT INTO booking_platform.resources (
			id, slug, name, time_zone, capacity, slot_seconds, step_seconds, horizon_seconds, hold_seconds, price_minor, currency
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
