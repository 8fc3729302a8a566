package booking_test

import (
	"database/sql"
	"slices"
	"strings"
	"testing"
	"time"

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
		require.True(t, slices.IsSortedFunc(all, func(a, b string) int { return strings.Compare(b, a) }),
			"newer ids sort after older ones")
		pages := func(opts booking.ListOptions) (ids []string) {
			for {
				page, err := store.List(t.Context(), opts)
				require.NoError(t, err)
				require.LessOrEqual(t, len(page.Bookings), opts.Limit)
				for _, b := range page.Bookings {
					ids = append(ids, b.ID)
				}
				if opts.After = page.Next; page.Next == "" {
					return ids
				}
			}
		}
		require.Equal(t, all, pages(booking.ListOptions{Limit: 5}))
		require.Equal(t, all, pages(booking.ListOptions{Limit: 500, Statuses: []booking.Status{booking.Pending}}))
		theirs := []string{all[0], all[3], all[6], all[9], all[12]}
		require.Equal(t, theirs, pages(booking.ListOptions{Limit: 2, Resource: "other"}))
		require.Equal(t, theirs, pages(booking.ListOptions{Limit: 2, Resource: strings.ToUpper(other.ID),
			Reference: "theirs"}))
		byTime := booking.ListOptions{Limit: 2, Order: booking.ByStart, Resource: "other", Customer: "ADA@example.com",
			Kind: booking.Sold}
		slices.Reverse(theirs)
		require.Equal(t, theirs, pages(byTime))
		byTime.From, byTime.To = slot(3), slot(9)
		require.Equal(t, theirs[1:3], pages(byTime), "the end is not in")
		byTime.Order, byTime.To = booking.ByStartDescending, slot(9).Add(time.Nanosecond)
		byTime.Statuses = []booking.Status{booking.Confirmed, booking.Pending, booking.Confirmed}
		require.Equal(t, []string{theirs[3], theirs[2], theirs[1]}, pages(byTime))
		sum, err := store.Count(t.Context(), byTime)
		require.NoError(t, err)
		require.Equal(t, booking.Count{N: 3}, sum)
		for _, none := range []booking.ListOptions{{Resource: "nothing"}, {Reference: "nothing"},
			{Statuses: []booking.Status{booking.NoShow}}} {
			list, err := store.List(t.Context(), none)
			require.NoError(t, err)
			require.Equal(t, booking.Page{Bookings: []booking.Booking{}}, list)
		}
	})
}

func TestListRefuses(t *testing.T) {
	t.Parallel()
	store := newStore(t, testdb.New(t))
	_, err := store.List(t.Context(), booking.ListOptions{
		Limit: 501, Resource: "No Slug", Reference: "\x00", Statuses: []booking.Status{booking.Pending, "sold"},
	})
	requireFields(t, err, "limit", "resource", "reference", "status")
	_, err = store.List(t.Context(), booking.ListOptions{Limit: -1})
	requireFields(t, err, "limit")
	for field, opts := range map[string]booking.ListOptions{
		"order":     {Order: "id; DROP TABLE"},
		"kind":      {Kind: "party"},
		"customer":  {Customer: "ada\x00@example.com"},
		"reference": {Reference: strings.Repeat("x", 1<<20)},
		"from":      {From: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"to":        {From: slot(2), To: slot(2)},
		"status":    {Statuses: []booking.Status{"{,}"}},
		"resource":  {Resource: "court\x00"},
	} {
		_, err := store.List(t.Context(), opts)
		requireFields(t, err, field)
		_, err = store.Count(t.Context(), opts)
		requireFields(t, err, field)
	}
	_, err = store.List(t.Context(), booking.ListOptions{From: slot(2), To: slot(1)})
	requireFields(t, err, "to")
}

// A cursor goes on with the list it came from, and with no other.
func TestCursorIsBoundToItsList(t *testing.T) {
	t.Parallel()
	store := newStore(t, testdb.New(t))
	create(t, store)
	for n := range 4 {
		hold(t, store, request(slot(n)))
	}
	from := booking.ListOptions{Order: booking.ByStart, Limit: 2, Resource: "court", Customer: "Ada@example.com",
		From: slot(0), To: slot(4), Statuses: []booking.Status{booking.Pending, booking.Expired}}
	page, err := store.List(t.Context(), from)
	require.NoError(t, err)
	from.After = page.Next
	from.Limit, from.Customer, from.Statuses = 50, "ada@example.com", []booking.Status{booking.Expired, booking.Pending}
	last, err := store.List(t.Context(), from)
	require.NoError(t, err)
	require.Len(t, last.Bookings, 2, "the same list, said in another way")
	require.Empty(t, last.Next)
	for name, change := range map[string]func(*booking.ListOptions){
		"order":      func(o *booking.ListOptions) { o.Order = booking.ByStartDescending },
		"default":    func(o *booking.ListOptions) { o.Order = "" },
		"resource":   func(o *booking.ListOptions) { o.Resource = "" },
		"customer":   func(o *booking.ListOptions) { o.Customer = "bob@example.com" },
		"reference":  func(o *booking.ListOptions) { o.Reference = "7" },
		"statuses":   func(o *booking.ListOptions) { o.Statuses = o.Statuses[:1] },
		"kind":       func(o *booking.ListOptions) { o.Kind = booking.Sold },
		"from":       func(o *booking.ListOptions) { o.From = slot(1) },
		"to":         func(o *booking.ListOptions) { o.To = time.Time{} },
		"a letter":   func(o *booking.ListOptions) { o.After = "A" + o.After[1:] + "A" },
		"a megabyte": func(o *booking.ListOptions) { o.After = strings.Repeat("A", 1<<20) },
		"zeros":      func(o *booking.ListOptions) { o.After = strings.Repeat("A", len(o.After)) },
		"no base64":  func(o *booking.ListOptions) { o.After = strings.Repeat("\x00", len(o.After)) },
		"an id":      func(o *booking.ListOptions) { o.After = page.Bookings[0].ID },
		"outside": func(o *booking.ListOptions) {
			o.After = booking.Cursor(*o, booking.Booking{ID: page.Bookings[0].ID, Start: slot(4)})
		},
		"far away": func(o *booking.ListOptions) {
			o.After = booking.Cursor(*o, booking.Booking{ID: page.Bookings[0].ID, Start: time.Unix(1<<40, 0)})
		},
	} {
		opts := from
		change(&opts)
		_, err := store.List(t.Context(), opts)
		require.Error(t, err, name)
		requireFields(t, err, "after")
	}
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
