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

func long() booking.Offer {
	return booking.Offer{
		Slug: "long", Name: "Long", SlotLength: 2 * time.Hour, SlotStep: time.Hour, BufferAfter: time.Hour,
		Price: booking.Money{Minor: 4000},
	}
}

func TestAvailabilityOfSeveral(t *testing.T) {
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
		// Before and after what is asked for, and in the way of its buffers.
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
			"alone its buffers are not widened by another's")
		require.Equal(t, map[string][]int{"hall": {3, 4}}, ask("", 2, hall.ID),
			"the buffer before a slot meets that of the party of three")
		require.Equal(t, map[string][]int{"hall": {0, 1, 2, 3, 4}, "court": {0}}, ask("long", 1, "court", "hall"),
			"two hours and one to clean up")

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

func TestNextSlot(t *testing.T) {
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
			INSERT INTO booking_platform.bookings (id, resource_id, units, party, during, blocked, status, hold_expires_at, amount_minor, currency)
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

// A first free slot and a look at several resources are one round trip each.
func TestRoundTripsOfAvailability(t *testing.T) {
	t.Parallel()
	db, trips := counted(t)
	store := newStore(t, db)
	create(t, store)
	create(t, store, func(r *booking.Resource) { r.Slug = "hall" })
	ask := booking.AvailabilityRequest{Resources: []string{"court", "hall"}, From: slot(0), To: slot(5)}
	_, err := store.Availability(t.Context(), ask)
	require.NoError(t, err)
	before := trips.Load()
	_, err = store.Availability(t.Context(), ask)
	require.NoError(t, err)
	require.EqualValues(t, 1, trips.Load()-before)
	_, err = store.NextSlot(t.Context(), booking.NextSlotRequest{Resource: "hall"})
	require.NoError(t, err)
	require.EqualValues(t, 2, trips.Load()-before)
	_, err = store.NextSlot(t.Context(), booking.NextSlotRequest{Resource: "hall", After: time.Unix(0, 0)})
	require.NoError(t, err)
	require.EqualValues(t, 4, trips.Load()-before, "what has passed is not looked through")
}

// Many resources with a grid of a minute have more slots than memory should hold for one
// answer.
func TestAvailabilityIsBounded(t *testing.T) {
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
