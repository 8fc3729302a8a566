package booking_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// exceptions gives a resource dates with other hours: each date is followed by its
// intervals.
func exceptions(texts ...string) func(*booking.Resource) {
	return func(r *booking.Resource) {
		for _, text := range texts {
			if !strings.Contains(text, ":") {
				// A date that does not exist is one to refuse.
				t, err := time.Parse("2006-01-02", text)
				date := booking.DateOf(t)
				if err != nil {
					date = booking.Date{Year: 2026, Month: 2, Day: 30}
				}
				r.Exceptions = append(r.Exceptions, booking.Exception{Date: date})
				continue
			}
			i, err := booking.ParseInterval(text)
			if err != nil {
				panic(err)
			}
			last := &r.Exceptions[len(r.Exceptions)-1]
			last.Hours = append(last.Hours, i)
		}
	}
}

// offer gives a resource an offer of half an hour, changed as the test needs it.
func offer(change func(*booking.Offer)) func(*booking.Resource) {
	return func(r *booking.Resource) {
		o := booking.Offer{Slug: "half", Name: "Half an hour", SlotLength: 30 * time.Minute,
			Price: booking.Money{Minor: 1500}}
		if change != nil {
			change(&o)
		}
		r.Offers = append(r.Offers, o)
	}
}

// Everything that is wrong with any offer is said, in the order of the offers.
func TestProblemsOfOffersAreNamed(t *testing.T) {
	t.Parallel()
	r := court()
	offer(func(o *booking.Offer) { o.Slug, o.Name, o.Price.Minor = "long", "", -1 })(&r)
	offer(nil)(&r)
	offer(nil)(&r)
	offer(func(o *booking.Offer) { o.Slug = "No" })(&r)
	offer(func(o *booking.Offer) { o.Slug, o.SlotStep = "short", 25*time.Hour })(&r)
	var invalid *booking.ValidationError
	require.ErrorAs(t, r.Validate(), &invalid)
	require.Equal(t,
		map[string]string{"offers": "long: name is required, long: price must not be negative, half: is there twice, " +
			"number 4: slug must be 1 to 63 of a-z, 0-9 and hyphens, not begin with a hyphen, and not look like an id, " +
			"short: slot step must be between 1m and 1d"}, invalid.Fields)
}

// What touches does not overlap, and a day's hours may run into the day after where that
// has no hours of its own.
func TestExceptionsThatAreFine(t *testing.T) {
	t.Parallel()
	for _, fine := range [][]string{
		{"2026-12-24", "9:00-12:00", "12:00-13:00", "2026-12-25"},
		{"2026-12-24", "22:00-2:00", "2026-12-25", "2:00-3:00"},
		{"2026-12-24", "22:00-2:00", "2026-12-26", "0:00-3:00"},
		{"2028-02-29", "0:00-24:00", "2028-03-01", "0:00-24:00"},
	} {
		r := court()
		exceptions(fine...)(&r)
		require.NoError(t, r.Validate(), fine)
	}
}

// What is left out of an offer is the resource's length, and no buffer.
func TestOfferDefaults(t *testing.T) {
	t.Parallel()
	store := newStore(t, testdb.New(t))
	given := []booking.Offer{{Slug: "plain", Name: "Plain"}, {Slug: "days", Name: "Days", SlotLength: 72 * time.Hour}}
	r := create(t, store, func(r *booking.Resource) { r.BufferAfter, r.Offers = time.Minute, given })
	eur := booking.Money{Currency: "eur"}
	require.Equal(t, []booking.Offer{
		{Slug: "plain", Name: "Plain", SlotLength: time.Hour, SlotStep: time.Hour, Price: eur},
		{Slug: "days", Name: "Days", SlotLength: 72 * time.Hour, SlotStep: 24 * time.Hour, Price: eur},
	}, r.Offers)
	require.Empty(t, given[0].Price.Currency, "the caller's own are left alone")
}

// Rows that are changed by hand, in every way there is, are rules that changed.
func TestRulesChangedByHand(t *testing.T) {
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
		{`UPDATE booking_platform.offers SET resource_id = (SELECT id FROM booking_platform.resources WHERE slug = 'other')`, true,
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

// A store that sells by rules in memory follows an exception that is taken away.
func TestStaleExceptionIsNotSoldBy(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	day := slot(72).UTC().Truncate(24 * time.Hour)
	create(t, store, func(r *booking.Resource) { r.TimeZone = "UTC" })
	hold(t, store, request(day))
	exec(t, db, `INSERT INTO booking_platform.opening_exceptions SELECT id, $1::date, 0, 0 FROM booking_platform.resources`, day)
	_, err := store.Hold(t.Context(), request(day.Add(time.Hour)))
	requireFields(t, err, "start")
}

// Opening hours are written as they are read.
func TestIntervalText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]booking.Interval{
		"9:00-12:30": {Opens: 540, Closes: 750}, "22:00-2:00": {Opens: 1320, Closes: 1560},
		"0:00-24:00": {Closes: 1440},
		"9:00-9:00":  {Opens: 540, Closes: 1980}, "9:00-24:00": {Opens: 540, Closes: 1440},
		"23:59-0:01": {Opens: 1439, Closes: 1441},
	} {
		require.Equal(t, text, want.String())
	}
	for _, same := range []string{"09:00-17:00", "9:00 - 17:00"} {
		got, err := booking.ParseInterval(same)
		require.NoError(t, err)
		require.Equal(t, booking.Interval{Opens: 540, Closes: 1020}, got)
	}
	for _, wrong := range []string{"", "-", "9:00", "9-12", "9:0-12:00", "9:60-12:00", "24:00-2:00", "9:00-24:01",
		"9:00-12:00-13:00", "+9:00-10:00", "009:00-10:00", "９:00-10:00"} {
		_, err := booking.ParseInterval(wrong)
		require.Error(t, err, wrong)
	}
	rapid.Check(t, func(t *rapid.T) {
		opens := rapid.IntRange(0, 1439).Draw(t, "opens")
		want := booking.Interval{Opens: opens, Closes: opens + rapid.IntRange(1, 1440).Draw(t, "length")}
		got, err := booking.ParseInterval(want.String())
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}
