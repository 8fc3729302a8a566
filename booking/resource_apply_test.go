package booking_test

import (
	"context"
	"database/sql"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func apply(t testing.TB, store *booking.Store, r booking.Resource) booking.Applied {
	t.Helper()
	a, err := store.ApplyResource(t.Context(), r, booking.ApplyOptions{})
	require.NoError(t, err)
	return a
}

func differs(field, from, to string) booking.FieldChange {
	return booking.FieldChange{Field: field, From: from, To: to}
}

func TestApplyResource_ReportsChanges(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		r := court()
		r.Description = "Clay"
		r.Hours = []booking.Hours{{Weekday: time.Monday, Opens: 540, Closes: 720},
			{Weekday: time.Tuesday, Opens: 540, Closes: 720}}
		exceptions("2026-12-24", "10:00-12:00", "2026-12-25")(&r)
		offer(nil)(&r)
		offer(func(o *booking.Offer) { o.Slug = "day" })(&r)

		plan, err := store.ApplyResource(t.Context(), r, booking.ApplyOptions{DryRun: true})
		require.NoError(t, err)
		require.True(t, plan.Created)
		require.Equal(t, 1, plan.Resource.Capacity)
		require.Zero(t, count(t, db, `SELECT count(*) FROM booking_platform.resources`))

		made := apply(t, store, r)
		require.True(t, made.Created)
		require.Empty(t, made.Changes)
		same := apply(t, store, made.Resource)
		require.Equal(t, booking.Applied{Resource: made.Resource}, same, "changing the result changes nothing")
		stored, err := store.Resource(t.Context(), "court")
		require.NoError(t, err)
		require.Equal(t, stored, same.Resource)

		r.Name, r.Description, r.Price.Minor, r.Capacity = "Court 1", "", 3000, 4
		r.TimeZone, r.SlotLength, r.Policy = "UTC", 90*time.Minute,
			booking.Policy{FreeUntil: 48 * time.Hour, FeePercent: 50}
		r.Hours = []booking.Hours{{Weekday: time.Monday, Opens: 540, Closes: 1560},
			{Weekday: time.Sunday, Opens: 0, Closes: 1440}}
		r.Exceptions = nil
		exceptions("2026-12-25", "22:00-2:00", "2026-12-31")(&r)
		r.Offers = []booking.Offer{r.Offers[1],
			{Slug: "week", Name: "Week", SlotLength: 7 * 24 * time.Hour, Price: booking.Money{Minor: 5}}}
		r.Offers[0].Price.Minor, r.Inactive = 1, true
		want := []booking.FieldChange{
			differs("name", "Court", "Court 1"), differs("description", "Clay", ""),
			differs("timeZone", "Europe/Paris", "UTC"),
			differs("capacity", "1", "4"), differs("slotLength", "1h", "1h30m"), differs("slotStep", "1h", "1h30m"),
			differs("price", "25.00 EUR", "30.00 EUR"), differs("policy.freeUntil", "0s", "2d"),
			differs("policy.feePercent", "0%", "50%"),
			differs("active", "yes", "no"), differs("hours.mon", "9:00-12:00", "9:00-2:00"),
			differs("hours.tue", "9:00-12:00", "closed"),
			differs("hours.sun", "closed", "0:00-24:00"), differs("exceptions.2026-12-25", "closed", "22:00-2:00"),
			differs("exceptions.2026-12-31", "", "closed"), differs("offers.day.price", "15.00 EUR", "0.01 EUR"),
			differs("offers.week.name", "", "Week"), differs("offers.week.slotLength", "", "7d"),
			differs("offers.week.slotStep", "", "1d"),
			differs("offers.week.bufferBefore", "", "0s"), differs("offers.week.bufferAfter", "", "0s"),
			differs("offers.week.price", "", "0.05 EUR"), differs("offers.week.active", "", "yes"),
			differs("offers", "half, day", "day, week"), differs("exceptions.2026-12-24", "10:00-12:00", ""),
			differs("offers.half.name", "Half an hour", ""), differs("offers.half.slotLength", "30m", ""),
			differs("offers.half.slotStep", "30m", ""),
			differs("offers.half.bufferBefore", "0s", ""), differs("offers.half.bufferAfter", "0s", ""),
			differs("offers.half.price", "15.00 EUR", ""), differs("offers.half.active", "yes", ""),
		}
		plan, err = store.ApplyResource(t.Context(), r, booking.ApplyOptions{DryRun: true})
		require.NoError(t, err)
		require.Equal(t, want, plan.Changes)
		require.False(t, plan.Created)
		after, err := store.Resource(t.Context(), "court")
		require.NoError(t, err)
		require.Equal(t, stored, after, "a dry run writes nothing")

		done := apply(t, store, r)
		require.Equal(t, want, done.Changes)
		require.Equal(t, stored.ID, done.Resource.ID)
		require.True(t, done.Resource.Inactive)
		plan.Resource.UpdatedAt = done.Resource.UpdatedAt
		require.ElementsMatch(t, plan.Resource.Hours, done.Resource.Hours)
		plan.Resource.Hours = done.Resource.Hours
		require.Equal(t, plan.Resource, done.Resource)
		after, err = store.Resource(t.Context(), stored.ID)
		require.NoError(t, err)
		require.Equal(t, done.Resource, after)
		require.Empty(t, apply(t, store, after).Changes)
		all, err := store.AllResources(t.Context())
		require.NoError(t, err)
		require.Equal(t, []booking.Resource{after}, all, "List includes inactive resources")

		// Open around the clock again, without exceptions and offers.
		r.Hours, r.Exceptions, r.Offers = nil, nil, nil
		apply(t, store, r)
		after, err = store.Resource(t.Context(), "court")
		require.NoError(t, err)
		require.Empty(t, after.Hours)
		require.Empty(t, after.Exceptions)
		require.Empty(t, after.Offers)
	})
}

func TestApplyResource_Creates(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	require.False(t, apply(t, store, court()).Resource.Inactive)
	hold(t, store, request(slot(0)))
	closed := court()
	closed.Slug, closed.Inactive = "closed", true
	require.True(t, apply(t, store, closed).Resource.Inactive)
	req := request(slot(0))
	req.Resource = "closed"
	_, err := store.Hold(t.Context(), req)
	requireFields(t, err, "resource")
	wrong := court()
	wrong.Price.Minor, wrong.TimeZone = -1, "Mars"
	for _, dry := range []bool{true, false} {
		_, err = store.ApplyResource(t.Context(), wrong, booking.ApplyOptions{DryRun: dry})
		requireFields(t, err, "price", "timeZone")
	}
}

func TestApplyResource_KeepsSoldBookings(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	r := court()
	apply(t, store, r)
	sold := hold(t, store, request(slot(0)))
	r.TimeZone, r.SlotLength, r.Price, r.Policy = "Asia/Tokyo", 2*time.Hour, booking.Money{Minor: 1, Currency: "jpy"},
		booking.Policy{Never: true}
	r.Hours = []booking.Hours{{Weekday: time.Monday, Opens: 1, Closes: 2}}
	apply(t, store, r)
	got, err := store.Get(t.Context(), sold.ID)
	require.NoError(t, err)
	require.Equal(t, sold, got)
	_, err = store.Confirm(t.Context(), sold.ID)
	require.NoError(t, err)
	_, err = store.Hold(t.Context(), request(slot(48)))
	requireFields(t, err, "start")
}

func TestApplyResource_Concurrent(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	const clients = 12
	for round := range 3 {
		var all sync.WaitGroup
		results := make([]booking.Applied, clients)
		errs := make([]error, clients)
		begin := make(chan struct{})
		for n := range clients {
			store := newStore(t, db)
			all.Go(func() {
				r := court()
				r.Capacity = 1 + round*clients + n
				offer(nil)(&r)
				exceptions("2026-12-24", "2026-12-25")(&r)
				<-begin
				results[n], errs[n] = store.ApplyResource(context.WithoutCancel(t.Context()), r, booking.ApplyOptions{})
			})
		}
		close(begin)
		all.Wait()
		created := 0
		for n := range clients {
			require.NoError(t, errs[n])
			if results[n].Created {
				created++
			} else {
				require.Len(t, results[n].Changes, 1)
			}
			require.Equal(t, 1+round*clients+n, results[n].Resource.Capacity, "each sees its own")
		}
		if round == 0 {
			require.Equal(t, 1, created)
		} else {
			require.Zero(t, created)
		}
	}
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM booking_platform.resources`))
}

// ApplyResource waits for a hold in progress, and none that started under the old rules
// is sold afterwards.
func TestApplyResource_ConcurrentWithHolds(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	r := court()
	r.Capacity = 500
	apply(t, store, r)
	type sold struct {
		price int64
		err   error
	}
	var all sync.WaitGroup
	results := make(chan sold, 400)
	stop := make(chan struct{})
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				// The hold may have started before the last change of the price.
				current, err := store.Resource(context.WithoutCancel(t.Context()), "court")
				if err == nil {
					var b booking.Booking
					b, err = store.Hold(context.WithoutCancel(t.Context()), request(slot(0)))
					if err == nil && b.Amount.Minor < current.Price.Minor {
						results <- sold{price: b.Amount.Minor - current.Price.Minor}
						return
					}
					if err == nil {
						_, err = store.Release(context.WithoutCancel(t.Context()), b.ID)
					}
				}
				if err != nil {
					results <- sold{err: err}
					return
				}
			}
		})
	}
	for n := range 20 {
		r.Price.Minor = 3000 + int64(n)
		apply(t, store, r)
		b := hold(t, store, request(slot(1)))
		require.Equal(t, r.Price.Minor, b.Amount.Minor)
		_, err := store.Release(t.Context(), b.ID)
		require.NoError(t, err)
	}
	close(stop)
	all.Wait()
	close(results)
	for s := range results {
		require.NoError(t, s.err)
		require.Zero(t, s.price, "sold at an old price")
	}
	requireInvariants(t, db)
}
