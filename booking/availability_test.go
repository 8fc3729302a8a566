package booking_test

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestSlots_ListsFreeSlots(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		r := create(t, store, func(r *booking.Resource) { r.Capacity = 5 })
		free := func(party int) (remaining []int) {
			slots, err := store.Slots(t.Context(), "court", slot(0), slot(4), party)
			require.NoError(t, err)
			for n, s := range slots {
				require.Equal(t, time.UTC, s.Start.Location())
				require.Equal(t, s.Start.Add(time.Hour), s.End)
				if party == 0 {
					require.Equal(t, slot(n), s.Start)
				}
				remaining = append(remaining, s.Remaining)
			}
			return remaining
		}
		require.Equal(t, []int{5, 5, 5, 5}, free(0))
		take := func(hours, party int) booking.Booking {
			req := request(slot(hours))
			req.Party = party
			return hold(t, store, req)
		}
		take(0, 2)
		take(0, 1)
		gone := take(1, 5)
		expired := take(2, 4)
		require.Equal(t, []int{2, 1, 5}, free(1))
		require.Equal(t, []int{2, 5}, free(2))
		_, err := store.Cancel(t.Context(), booking.CancelRequest{ID: gone.ID})
		require.NoError(t, err)
		expireHolds(t, db, expired.ID)
		require.Equal(t, []int{2, 5, 5, 5}, free(1), "an expired hold does not count")
		require.Equal(t, []int(nil), free(6))

		exec(t, db, `UPDATE booking_platform.resources SET capacity = 2 WHERE id = $1::uuid`, r.ID)
		for _, remaining := range free(1) {
			require.LessOrEqual(t, remaining, 2)
		}
		exec(t, db, `UPDATE booking_platform.resources SET active = false WHERE id = $1::uuid`, r.ID)
		require.Empty(t, free(1))
	})
}

// With buffers, overlapping slots and parties.
func TestSlots_EveryListedSlotCanBeHeld(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, func(r *booking.Resource) {
		// Slots and buffers do not overlap, so no relocation is needed.
		r.Capacity, r.SlotStep, r.BufferBefore, r.BufferAfter, r.Notice = 4, 85*time.Minute, 10*time.Minute,
			15*time.Minute, time.Hour
		r.Hours = daily(480, 1500)
	})
	// Yesterday too, where the notice excludes everything.
	from, to := slot(-48), slot(24)
	for sold := 0; ; sold++ {
		party := 1 + sold%3
		slots, err := store.Slots(t.Context(), "court", from, to, party)
		require.NoError(t, err)
		if len(slots) == 0 && party == 1 {
			break
		}
		if len(slots) == 0 {
			continue
		}
		picked := slots[(sold*7)%len(slots)]
		require.GreaterOrEqual(t, picked.Remaining, party)
		tooMany := request(picked.Start)
		if tooMany.Party = picked.Remaining + 1; tooMany.Party <= 4 {
			_, err = store.Hold(t.Context(), tooMany)
			require.ErrorIs(t, err, booking.ErrSlotTaken, "parties above what remains")
		}
		req := request(picked.Start)
		req.Party = party
		b := hold(t, store, req)
		require.Equal(t, picked.End, b.End)
	}
	requireInvariants(t, db)
	for start := from; start.Before(to); start = start.Add(20 * time.Minute) {
		_, err := store.Hold(t.Context(), request(start))
		require.Error(t, err, "everything listed was held")
	}
}

func TestSlots_InvalidRange(t *testing.T) {
	t.Parallel()
	store := newStore(t, testdb.New(t))
	create(t, store)
	now := time.Now()
	for name, test := range map[string]struct {
		from, to time.Time
		party    int
		fields   []string
	}{
		"empty":        {now, now, 1, []string{"to"}},
		"inverted":     {now, now.Add(-time.Hour), 1, []string{"to"}},
		"long":         {now, now.Add(62*24*time.Hour + 1), 1, []string{"to"}},
		"no instants":  {time.Time{}, time.Time{}, 1, []string{"from", "to"}},
		"year 10000":   {now, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), 1, []string{"to"}},
		"year 1":       {time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), now, 1, []string{"from"}},
		"party":        {now, now.Add(time.Hour), -1, []string{"party"}},
		"all of these": {now, now, -1, []string{"to", "party"}},
	} {
		_, err := store.Slots(t.Context(), "court", test.from, test.to, test.party)
		requireFields(t, err, test.fields...)
		require.NotErrorIs(t, err, booking.ErrNotFound, name)
	}
	slots, err := store.Slots(t.Context(), "court", now, now.Add(62*24*time.Hour), 1)
	require.NoError(t, err)
	require.Len(t, slots, 62*24)
	_, err = store.Slots(t.Context(), "nothing", now, now.Add(time.Hour), 1)
	require.ErrorIs(t, err, booking.ErrNotFound)
}

func long() booking.Offer {
	return booking.Offer{
		Slug: "long", Name: "Long", SlotLength: 2 * time.Hour, SlotStep: time.Hour, BufferAfter: time.Hour,
		Price: booking.Money{Minor: 4000},
	}
}

func TestAvailability_SeveralResources(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		court := create(t, store, func(r *booking.Resource) { r.Offers = []booking.Offer{long()} })
		hall := create(t, store, func(r *booking.Resource) {
			r.Slug, r.Capacity, r.BufferBefore, r.Offers = "hall", 4, time.Hour, []booking.Offer{long()}
		})
		hold(t, store, request(slot(3)))
		req := request(slot(1))
		req.Resource, req.Party = "hall", 3
		hold(t, store, req)
		// Outside of the range, and overlapping its buffers.
		hold(t, store, request(slot(6)))
		req.Start, req.Party = slot(-1), 4
		hold(t, store, req)

		ask := func(offer string, party int, resources ...string) map[string][]int {
			found, err := store.Availability(t.Context(), booking.AvailabilityRequest{
				Resources: resources, Offer: offer, From: slot(0), To: slot(5), Party: party,
			})
			require.NoError(t, err)
			require.Len(t, found, len(resources))
			out := map[string][]int{}
			for n, f := range found {
				require.Contains(t, []string{f.Slug, f.ResourceID}, resources[n], "in the order asked for")
				out[f.Slug] = []int{}
				for _, s := range f.Slots {
					out[f.Slug] = append(out[f.Slug], int(s.Start.Sub(slot(0))/time.Hour))
				}
			}
			return out
		}
		require.Equal(t, map[string][]int{"hall": {1, 2, 3, 4}, "court": {0, 1, 2, 4}}, ask("", 1, "hall", court.ID))
		require.Equal(t, map[string][]int{"hall": {1, 2, 3, 4}}, ask("", 1, "hall"),
			"alone it has its own buffers")
		require.Equal(t, map[string][]int{"hall": {3, 4}}, ask("", 2, hall.ID),
			"the buffer before a slot meets that of the party of three")
		require.Equal(t, map[string][]int{"hall": {0, 1, 2, 3, 4}, "court": {0}}, ask("long", 1, "court", "hall"),
			"two hours and a buffer of one")

		exec(t, db, `UPDATE booking_platform.offers SET active = false WHERE resource_id = $1::uuid`, court.ID)
		for _, wrong := range []struct {
			req   booking.AvailabilityRequest
			field string
		}{
			{booking.AvailabilityRequest{Resources: []string{"court"}, Offer: "long"}, "offer"},
			{booking.AvailabilityRequest{Resources: []string{"court"}, Offer: "nothing"}, "offer"},
			{booking.AvailabilityRequest{Resources: []string{"court", "nothing"}}, "resources"},
			{booking.AvailabilityRequest{}, "resources"},
			{booking.AvailabilityRequest{Resources: make([]string, 101)}, "resources"},
			{booking.AvailabilityRequest{Resources: []string{"court"}, Party: -1}, "party"},
			{booking.AvailabilityRequest{Resources: []string{"court"}, To: slot(-1)}, "to"},
			{booking.AvailabilityRequest{Resources: []string{"court"}, To: slot(24 * 63)}, "to"},
		} {
			wrong.req.From = slot(0)
			if wrong.req.To.IsZero() {
				wrong.req.To = slot(5)
			}
			_, err := store.Availability(t.Context(), wrong.req)
			requireFields(t, err, wrong.field)
		}
		_, err := store.Availability(t.Context(),
			booking.AvailabilityRequest{Resources: []string{"nothing"}, From: slot(0), To: slot(1)})
		require.ErrorIs(t, err, booking.ErrNotFound)
	})
}

func TestNextSlot_SkipsFullDays(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		r := create(t, store, func(r *booking.Resource) { r.Capacity, r.Offers = 2, []booking.Offer{long()} })
		next := func(after time.Time, offer string, party int) (time.Time, error) {
			s, err := store.NextSlot(t.Context(),
				booking.NextSlotRequest{Resource: "court", Offer: offer, After: after, Party: party})
			return s.Start, err
		}
		at := func(want time.Time, after time.Time, offer string, party int) {
			t.Helper()
			got, err := next(after, offer, party)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		now := time.Now().UTC().Truncate(time.Hour).Add(time.Hour)
		at(now, time.Time{}, "", 0)
		at(now, time.Unix(0, 0), "", 1)
		at(slot(3), slot(2).Add(1), "", 2)
		hold(t, store, request(slot(3)))
		at(slot(3), slot(3), "", 1)
		at(slot(4), slot(3), "", 2)
		at(slot(4), slot(2), "long", 2)

		// Sold out for half a year.
		exec(t, db, `
			INSERT INTO booking_platform.bookings (id, resource_id, units, party, during, blocked, status,
				hold_expires_at, amount_minor, currency)
			SELECT gen_random_uuid(), $1::uuid, '{[1,3)}', 2, s, s, 'confirmed', now(), 0, 'eur'
			FROM (SELECT tstzrange($2::timestamptz, $3::timestamptz, '[)') AS s) n`, r.ID, slot(10), slot(10+24*183))
		at(slot(10+24*183), slot(10), "", 1)
		_, err := next(slot(24*366), "", 1)
		require.ErrorIs(t, err, booking.ErrNoSlot, "beyond the horizon")
		_, err = next(slot(0), "", 3)
		require.ErrorIs(t, err, booking.ErrNoSlot, "more than the capacity")
		for field, req := range map[string]booking.NextSlotRequest{
			"offer": {Resource: "court", Offer: "nothing"}, "party": {Resource: "court", Party: -1},
			"after": {Resource: "court", After: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
		} {
			_, err := store.NextSlot(t.Context(), req)
			requireFields(t, err, field)
		}
		_, err = store.NextSlot(t.Context(), booking.NextSlotRequest{Resource: "nothing"})
		require.ErrorIs(t, err, booking.ErrNotFound)
		exec(t, db, `UPDATE booking_platform.resources SET active = false`)
		_, err = next(slot(0), "", 1)
		require.ErrorIs(t, err, booking.ErrNoSlot)
	})
}

// Many resources with a grid of a minute.
func TestAvailability_TooManySlots(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	var all []string
	for n := range 8 {
		slug := fmt.Sprint("fine-", n)
		create(t, store, func(r *booking.Resource) {
			r.Slug, r.SlotLength, r.SlotStep = slug, time.Minute,
				time.Minute
		})
		all = append(all, slug)
	}
	req := booking.AvailabilityRequest{Resources: all, From: slot(0), To: slot(24 * 62)}
	_, err := store.Availability(t.Context(), req)
	requireFields(t, err, "to")
	req.Resources = all[:5]
	found, err := store.Availability(t.Context(), req)
	require.NoError(t, err)
	require.Len(t, found, 5)
	require.Len(t, found[4].Slots, 62*24*60)
}

// Dates become instants in the zone that the resource has in the database, also where
// another replica still has the old one. Once the rules are in memory, that is one round
// trip.
func TestAvailability_SpanInTheZoneOfTheResource(t *testing.T) {
	t.Parallel()
	db, trips := testdb.Counting(t)
	store := newStore(t, db)
	r := create(t, store)
	day := booking.DateOf(time.Now().AddDate(0, 0, 3))
	var zones []string
	first := func() time.Time {
		t.Helper()
		zones = nil
		found, err := store.Availability(t.Context(), booking.AvailabilityRequest{Resources: []string{"court"},
			Span: func(zone *time.Location) (from, to time.Time, err error) {
				zones = append(zones, zone.String())
				from, _ = day.At(0, zone)
				to, _ = day.At(24*60, zone)
				return from, to, nil
			}})
		require.NoError(t, err)
		require.NotEmpty(t, found[0].Slots)
		return found[0].Slots[0].Start
	}
	start := first()
	before := trips.Load()
	require.Equal(t, start, first())
	require.EqualValues(t, 1, trips.Load()-before)
	require.Equal(t, []string{"Europe/Paris"}, zones)

	exec(t, db, `UPDATE booking_platform.resources SET time_zone = 'Asia/Tokyo' WHERE id = $1::uuid`, r.ID)
	tokyo, err := booking.LoadZone("Asia/Tokyo")
	require.NoError(t, err)
	midnight, _ := day.At(0, tokyo)
	require.Equal(t, midnight.UTC(), first())
	require.Equal(t, []string{"Europe/Paris", "Asia/Tokyo"}, zones)

	refused := errors.New("no such date")
	_, err = store.Availability(t.Context(), booking.AvailabilityRequest{Resources: []string{"court"},
		Span: func(*time.Location) (from, to time.Time, err error) { return from, to, refused }})
	require.ErrorIs(t, err, refused)
	_, err = store.Availability(t.Context(), booking.AvailabilityRequest{Resources: []string{"court"}, Party: -1,
		Span: func(*time.Location) (from, to time.Time, err error) { return midnight, midnight, nil }})
	requireFields(t, err, "to", "party")
}
