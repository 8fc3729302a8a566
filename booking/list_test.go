package booking_test

import (
	"database/sql"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestListIsPaged(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store)
		other := create(t, store, func(r *booking.Resource) { r.Slug = "other" })
		var all []string
		for n := range 13 {
			req := request(slot(n))
			if n%3 == 0 {
				req.Resource, req.Reference = "other", "theirs"
			}
			all = append(all, hold(t, store, req).ID)
		}
		slices.Reverse(all)
		require.True(t, slices.IsSortedFunc(all, func(a, b string) int { return strings.Compare(b, a) }), "newer ids sort after older ones")
		pages := func(opts booking.ListOptions) (ids []string) {
			for {
				page, err := store.List(t.Context(), opts)
				require.NoError(t, err)
				if len(page) == 0 {
					return ids
				}
				require.LessOrEqual(t, len(page), opts.Limit)
				for _, b := range page {
					ids = append(ids, b.ID)
				}
				opts.Before = ids[len(ids)-1]
			}
		}
		require.Equal(t, all, pages(booking.ListOptions{Limit: 5}))
		require.Equal(t, all, pages(booking.ListOptions{Limit: 500, Status: booking.Pending}))
		theirs := []string{all[0], all[3], all[6], all[9], all[12]}
		require.Equal(t, theirs, pages(booking.ListOptions{Limit: 2, Resource: "other"}))
		require.Equal(t, theirs, pages(booking.ListOptions{Limit: 2, Resource: strings.ToUpper(other.ID), Reference: "theirs"}))
		for _, none := range []booking.ListOptions{{Resource: "nothing"}, {Reference: "nothing"}, {Status: booking.NoShow}} {
			list, err := store.List(t.Context(), none)
			require.NoError(t, err)
			require.Equal(t, []booking.Booking{}, list)
		}
	})
}

func TestListRefuses(t *testing.T) {
	t.Parallel()
	store := newStore(t, testdb.New(t))
	_, err := store.List(t.Context(), booking.ListOptions{
		Before: "x", Limit: 501, Resource: "No Slug", Reference: "\x00", Status: "sold",
	})
	requireFields(t, err, "before", "limit", "resource", "reference", "status")
	_, err = store.List(t.Context(), booking.ListOptions{Limit: -1})
	requireFields(t, err, "limit")
}

// Units are taken at random: who always took the lowest would collide with everyone else.
func TestUnitsAreTakenAtRandom(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, func(r *booking.Resource) { r.Capacity = 10000 })
	for n := range 20 {
		hold(t, store, request(slot(n)))
	}
	require.Greater(t, count(t, db, `SELECT count(DISTINCT lower(units)) FROM booking_platform.bookings`), 10)
	req := request(slot(30))
	req.Party = 9999
	hold(t, store, req)
	req.Party = 2
	_, err := store.Hold(t.Context(), req)
	require.ErrorIs(t, err, booking.ErrSlotTaken)
	hold(t, store, request(slot(30)))
	requireInvariants(t, db)
}
