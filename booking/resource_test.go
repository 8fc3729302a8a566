package booking_test

import (
	"database/sql"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestCreateResource_RoundTrip(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		plain, err := store.CreateResource(t.Context(), booking.Resource{
			Slug: "plain", Name: "Plain", TimeZone: "UTC", SlotLength: 90 * time.Minute,
			Price: booking.Money{Currency: "EUR"},
		})
		require.NoError(t, err)
		require.Equal(t, booking.Resource{
			ID: plain.ID, Slug: "plain", Name: "Plain", TimeZone: "UTC", Capacity: 1, SlotLength: 90 * time.Minute,
			SlotStep: 90 * time.Minute, Horizon: 365 * 24 * time.Hour, HoldFor: 35 * time.Minute,
			HoldCap: 14 * 24 * time.Hour, Price: booking.Money{Currency: "eur"},
			CreatedAt: plain.CreatedAt, UpdatedAt: plain.UpdatedAt,
		}, plain)
		require.WithinDuration(t, time.Now(), plain.CreatedAt, time.Minute)

		full := booking.Resource{
			Slug: "full", Name: "A full one", Description: "Two\nlines, an 'apostrophe' and ünïcode",
			TimeZone: "Australia/Lord_Howe", Capacity: 12, SlotLength: 45 * time.Minute, SlotStep: 15 * time.Minute,
			BufferBefore: time.Minute, BufferAfter: 2 * time.Minute,
			Notice: time.Hour, Horizon: 30 * 24 * time.Hour, HoldFor: 20 * time.Minute, HoldCap: time.Hour,
			Price:  booking.Money{Minor: 1999, Currency: "usd"},
			Policy: booking.Policy{FreeUntil: 48 * time.Hour, ClosedFrom: time.Hour, FeePercent: 50, FeeMinor: 100},
			Exceptions: []booking.Exception{{Date: booking.Date{Year: 2026, Month: 12, Day: 24},
				Hours: []booking.Interval{{Opens: 540, Closes: 720}}},
				{Date: booking.Date{Year: 2026, Month: 12, Day: 25}}},
			Offers: []booking.Offer{
				{Slug: "long", Name: "Long", SlotLength: 90 * time.Minute, SlotStep: 30 * time.Minute,
					BufferAfter: time.Minute, Price: booking.Money{Minor: 2999, Currency: "usd"}},
				{Slug: "short", Name: "Short", SlotLength: 20 * time.Minute, SlotStep: 20 * time.Minute,
					Price: booking.Money{Currency: "usd"}, Inactive: true},
			},
			Hours: []booking.Hours{
				{Weekday: time.Sunday, Opens: 1320, Closes: 1560}, {Weekday: time.Tuesday, Opens: 540, Closes: 720},
				{Weekday: time.Tuesday, Opens: 780, Closes: 1020},
			},
		}
		stored, err := store.CreateResource(t.Context(), full)
		require.NoError(t, err)
		full.ID, full.CreatedAt, full.UpdatedAt = stored.ID, stored.CreatedAt, stored.UpdatedAt
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

func TestCreateResource_InvalidFields(t *testing.T) {
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
			func(r *booking.Resource) { r.TimeZone = "Mars/Olympus" },
			func(r *booking.Resource) { r.TimeZone = "../../etc/passwd" },
		},
		"capacity": {func(r *booking.Resource) { r.Capacity = -1 }, func(r *booking.Resource) { r.Capacity = 10001 }},
		"slotLength": {
			func(r *booking.Resource) { r.SlotLength = 32 * 24 * time.Hour },
			func(r *booking.Resource) { r.SlotLength, r.SlotStep = time.Hour+time.Millisecond, time.Hour },
		},
		"slotStep": {func(r *booking.Resource) { r.SlotStep = time.Second },
			func(r *booking.Resource) { r.SlotStep = 25 * time.Hour }},
		"bufferBefore": {func(r *booking.Resource) { r.BufferBefore = -1 }},
		"bufferAfter":  {func(r *booking.Resource) { r.BufferAfter = 8 * 24 * time.Hour }},
		"notice":       {func(r *booking.Resource) { r.Notice = -time.Hour }},
		"horizon":      {func(r *booking.Resource) { r.Horizon = -time.Hour }},
		"holdFor":      {func(r *booking.Resource) { r.HoldFor = time.Millisecond }},
		"holdCap": {
			func(r *booking.Resource) { r.HoldCap = -time.Second },
			func(r *booking.Resource) { r.HoldCap = 91 * 24 * time.Hour },
			func(r *booking.Resource) { r.HoldFor, r.HoldCap = time.Hour, time.Minute },
			func(r *booking.Resource) { r.HoldCap = time.Hour + time.Millisecond },
		},
		"policy": {
			func(r *booking.Resource) { r.Policy.FreeUntil = -1 },
			func(r *booking.Resource) { r.Policy.FreeUntil = 366 * 24 * time.Hour },
			func(r *booking.Resource) { r.Policy.FreeUntil, r.Policy.ClosedFrom = time.Hour, -time.Hour },
			func(r *booking.Resource) { r.Policy.FreeUntil, r.Policy.ClosedFrom = time.Hour, 2*time.Hour },
			func(r *booking.Resource) { r.Policy.FreeUntil = time.Hour + time.Millisecond },
			func(r *booking.Resource) { r.Policy.FeePercent = -1 },
			func(r *booking.Resource) { r.Policy.FeePercent = 101 },
			func(r *booking.Resource) { r.Policy.FeeMinor = -1 },
		},
		"exceptions": {
			exceptions("2026-02-30"), exceptions("1969-12-31"), exceptions("9999-01-01"),
			exceptions("2026-12-24", "9:00-12:00", "2026-12-24"),
			exceptions("2026-12-24", "9:00-12:00", "11:59-13:00"),
			exceptions("2026-12-24", "22:00-2:00", "2026-12-25", "1:00-3:00"),
			exceptions("2026-12-25", "1:00-3:00", "2026-12-24", "22:00-2:00"),
			exceptions("2026-12-31", "22:00-2:00", "2027-01-01", "0:00-3:00"),
			func(r *booking.Resource) {
				exceptions("2026-12-24")(r)
				r.Exceptions[0].Hours = []booking.Interval{{Opens: -1, Closes: 60}}
			},
			func(r *booking.Resource) {
				exceptions("2026-12-24")(r)
				r.Exceptions[0].Hours = []booking.Interval{{Opens: 60, Closes: 1501}}
			},
			func(r *booking.Resource) {
				exceptions("2026-12-24")(r)
				for n := range 25 {
					r.Exceptions[0].Hours = append(r.Exceptions[0].Hours, booking.Interval{Opens: n, Closes: n + 1})
				}
			},
			func(r *booking.Resource) {
				for n := range 1001 {
					r.Exceptions = append(r.Exceptions,
						booking.Exception{Date: booking.DateOf(time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC))})
				}
			},
		},
		"offers": {
			offer(func(o *booking.Offer) { o.Slug = "" }), offer(func(o *booking.Offer) { o.Slug = "A" }),
			offer(func(o *booking.Offer) { o.Slug = "019a2b3c-0000-7000-8000-000000000000" }),
			func(r *booking.Resource) { offer(nil)(r); offer(nil)(r) },
			offer(func(o *booking.Offer) { o.Name = "" }),
			offer(func(o *booking.Offer) { o.Name = strings.Repeat("n", 201) }),
			offer(func(o *booking.Offer) { o.SlotLength = time.Second }),
			offer(func(o *booking.Offer) { o.SlotLength = -time.Hour }),
			offer(func(o *booking.Offer) { o.SlotStep = 25 * time.Hour }),
			offer(func(o *booking.Offer) { o.SlotStep = time.Minute + 1 }),
			offer(func(o *booking.Offer) { o.BufferBefore = -1 }),
			offer(func(o *booking.Offer) { o.BufferAfter = 8 * 24 * time.Hour }),
			offer(func(o *booking.Offer) { o.Price.Minor = -1 }),
			offer(func(o *booking.Offer) { o.Price.Currency = "usd" }),
			func(r *booking.Resource) {
				offer(func(o *booking.Offer) { o.Price.Minor = math.MaxInt64 / 2 })(r)
				r.Capacity = 3
			},
			func(r *booking.Resource) {
				for n := range 101 {
					offer(func(o *booking.Offer) { o.Slug = fmt.Sprint("o", n) })(r)
				}
			},
		},
		"price": {
			func(r *booking.Resource) { r.Price.Minor = -1 },
			func(r *booking.Resource) { r.Price.Minor, r.Capacity = math.MaxInt64/2, 3 },
		},
		"currency": {func(r *booking.Resource) { r.Price.Currency = "" },
			func(r *booking.Resource) { r.Price.Currency = "e\x00r" }},
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
			requireFields(t, r.Validate(), field)
			if n == 0 {
				change(&all)
			}
		}
	}
	_, err := store.CreateResource(t.Context(), all)
	requireFields(t, err, fields...)
	requireFields(t, all.Validate(), fields...)
	require.NoError(t, court().Validate())
	_, err = store.CreateResource(t.Context(), booking.Resource{})
	requireFields(t, err, "slug", "name", "timeZone", "slotLength", "slotStep", "currency")
	require.Zero(t, count(t, db, `SELECT count(*) FROM booking_platform.resources`))
}

// exceptions are dates, each followed by its intervals.
func exceptions(texts ...string) func(*booking.Resource) {
	return func(r *booking.Resource) {
		for _, text := range texts {
			if !strings.Contains(text, ":") {
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

// Every problem is returned, in the order of the offers.
func TestCreateResource_InvalidOffers(t *testing.T) {
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
			"number 4: slug must be 1 to 63 of a-z, 0-9 and hyphens, not begin with a hyphen, " +
			"and not look like an id, " +
			"short: slot step must be between 1m and 1d"}, invalid.Fields)
}

// Adjacent intervals, and hours that run into a day without any.
func TestCreateResource_ValidExceptions(t *testing.T) {
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

// The default length is the resource's, without buffers.
func TestCreateResource_OfferDefaults(t *testing.T) {
	t.Parallel()
	store := newStore(t, testdb.New(t))
	price := booking.Money{Minor: 1500}
	given := []booking.Offer{{Slug: "plain", Name: "Plain", Price: price},
		{Slug: "days", Name: "Days", SlotLength: 72 * time.Hour, Price: price}}
	r := create(t, store, func(r *booking.Resource) { r.BufferAfter, r.Offers = time.Minute, given })
	eur := booking.Money{Minor: 1500, Currency: "eur"}
	require.Equal(t, []booking.Offer{
		{Slug: "plain", Name: "Plain", SlotLength: time.Hour, SlotStep: time.Hour, Price: eur},
		{Slug: "days", Name: "Days", SlotLength: 72 * time.Hour, SlotStep: 24 * time.Hour, Price: eur},
	}, r.Offers)
	require.Empty(t, given[0].Price.Currency, "the caller's slice is unchanged")
}

func TestHours_TextRoundTrip(t *testing.T) {
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
