package booking_test

import (
	"cmp"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestList_Pages(t *testing.T) {
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
		require.Equal(t, all, pages(booking.ListOptions{Limit: 500, Statuses: []booking.Status{booking.StatusPending}}))
		theirs := []string{all[0], all[3], all[6], all[9], all[12]}
		require.Equal(t, theirs, pages(booking.ListOptions{Limit: 2, Resource: "other"}))
		require.Equal(t, theirs, pages(booking.ListOptions{Limit: 2, Resource: strings.ToUpper(other.ID),
			Reference: "theirs"}))
		byTime := booking.ListOptions{Limit: 2, Order: booking.ByStart, Resource: "other", Customer: "ADA@example.com",
			Kind: booking.KindBooking}
		slices.Reverse(theirs)
		require.Equal(t, theirs, pages(byTime))
		byTime.From, byTime.To = slot(3), slot(9)
		require.Equal(t, theirs[1:3], pages(byTime), "the range excludes its end")
		byTime.Order, byTime.To = booking.ByStartDescending, slot(9).Add(time.Nanosecond)
		byTime.Statuses = []booking.Status{booking.StatusConfirmed, booking.StatusPending, booking.StatusConfirmed}
		require.Equal(t, []string{theirs[3], theirs[2], theirs[1]}, pages(byTime))
		sum, err := store.Count(t.Context(), byTime)
		require.NoError(t, err)
		require.Equal(t, booking.Count{N: 3}, sum)
		for _, none := range []booking.ListOptions{{Resource: "nothing"}, {Reference: "nothing"},
			{Statuses: []booking.Status{booking.StatusNoShow}}} {
			list, err := store.List(t.Context(), none)
			require.NoError(t, err)
			require.Equal(t, booking.Page{Bookings: []booking.Booking{}}, list)
		}
	})
}

func TestList_InvalidOptions(t *testing.T) {
	t.Parallel()
	store := newStore(t, testdb.New(t))
	_, err := store.List(t.Context(), booking.ListOptions{
		Limit: 501, Resource: "No Slug", Reference: "\x00", Statuses: []booking.Status{booking.StatusPending, "sold"},
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

func TestList_CursorOfAnotherList(t *testing.T) {
	t.Parallel()
	store := newStore(t, testdb.New(t))
	create(t, store)
	for n := range 4 {
		hold(t, store, request(slot(n)))
	}
	from := booking.ListOptions{Order: booking.ByStart, Limit: 2, Resource: "court", Customer: "Ada@example.com",
		From: slot(0), To: slot(4), Statuses: []booking.Status{booking.StatusPending, booking.StatusExpired}}
	page, err := store.List(t.Context(), from)
	require.NoError(t, err)
	from.After = page.Next
	from.Limit, from.Customer, from.Statuses = 50, "ada@example.com",
		[]booking.Status{booking.StatusExpired, booking.StatusPending}
	last, err := store.List(t.Context(), from)
	require.NoError(t, err)
	require.Len(t, last.Bookings, 2, "the same list in another form")
	require.Empty(t, last.Next)
	for name, change := range map[string]func(*booking.ListOptions){
		"order":      func(o *booking.ListOptions) { o.Order = booking.ByStartDescending },
		"default":    func(o *booking.ListOptions) { o.Order = "" },
		"resource":   func(o *booking.ListOptions) { o.Resource = "" },
		"customer":   func(o *booking.ListOptions) { o.Customer = "bob@example.com" },
		"reference":  func(o *booking.ListOptions) { o.Reference = "7" },
		"statuses":   func(o *booking.ListOptions) { o.Statuses = o.Statuses[:1] },
		"kind":       func(o *booking.ListOptions) { o.Kind = booking.KindBooking },
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

type listed struct {
	id, resource, email, reference string
	status                         booking.Status
	kind                           booking.Kind
	start                          time.Time
	touched                        bool
}

func (l *listed) fits(o booking.ListOptions) bool {
	return (len(o.Statuses) == 0 || slices.Contains(o.Statuses, l.status)) && (o.Kind == "" || o.Kind == l.kind) &&
		(o.Resource == "" || o.Resource == l.resource) &&
		(o.Customer == "" || strings.EqualFold(o.Customer, l.email)) &&
		(o.Reference == "" || o.Reference == l.reference) &&
		(o.From.IsZero() || !l.start.Before(o.From)) && (o.To.IsZero() || l.start.Before(o.To))
}

func before(o booking.Order, aStart, bStart time.Time, a, b string) bool {
	c := cmp.Compare(a, b)
	if o == booking.ByStart || o == booking.ByStartDescending {
		c = cmp.Or(aStart.Compare(bStart), c)
	}
	if o == booking.ByStartDescending || o == booking.NewestFirst {
		c = -c
	}
	return c < 0
}

// They are in the past, so that any number can start at the same time.
const addListedSQL = `
INSERT INTO booking_platform.bookings (
    id, resource_id, units, party, during, blocked, status, hold_expires_at, amount_minor, currency, email, reference,
    kind
)
SELECT $1::uuid, r.id, '{[1,2)}', 1, s, s, $3::text, now(), 0, 'eur', $5::text, $6::text, $7::text
FROM booking_platform.resources r, tstzrange($4::timestamptz, $4::timestamptz + interval '1 hour') AS s
    WHERE r.slug = $2::text`

const moveListedSQL = `
UPDATE booking_platform.bookings b SET during = s, blocked = s, status = $2::text
FROM tstzrange($3::timestamptz, $3::timestamptz + interval '1 hour') AS s WHERE b.id = $1::uuid`

var (
	overStatuses = []booking.Status{booking.StatusCancelled, booking.StatusCompleted, booking.StatusNoShow,
		booking.StatusExpired}
	twoSlugs   = []string{"court", "other"}
	someEmails = []string{"", "ada@example.com", "Ada@Example.COM", "bob@example.com"}
	someRefs   = []string{"", "order 7", "Order 7", "it's"}
	kinds      = []booking.Kind{booking.KindBooking, booking.KindBlock}
)

func aStart(rt *rapid.T) time.Time {
	return start2030.Add(time.Duration(rapid.IntRange(0, 5).Draw(rt, "hour")) * time.Hour)
}

func addListed(rt *rapid.T, db *sql.DB) *listed {
	l := &listed{
		id: uuid.Must(uuid.NewV7()).String(), resource: rapid.SampledFrom(twoSlugs).Draw(rt, "resource"),
		start:     aStart(rt),
		email:     rapid.SampledFrom(someEmails).Draw(rt, "email"),
		reference: rapid.SampledFrom(someRefs).Draw(rt, "reference"),
		status:    rapid.SampledFrom(overStatuses).Draw(rt, "status"), kind: rapid.SampledFrom(kinds).Draw(rt, "kind"),
	}
	_, err := db.Exec(addListedSQL, l.id, l.resource, string(l.status), l.start, l.email, l.reference, string(l.kind))
	require.NoError(rt, err)
	return l
}

// some is the zero value half of the time.
func some[T any](rt *rapid.T, name string, values []T) (v T) {
	if rapid.Bool().Draw(rt, "with "+name) {
		v = rapid.SampledFrom(values).Draw(rt, name)
	}
	return v
}

// Bookings are added, cancelled and moved between pages: one that matched throughout is
// listed exactly once, in order, and none that never matched is.
func TestList_Model(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	create(t, store, func(r *booking.Resource) { r.Slug = "other" })
	rapid.Check(t, func(rt *rapid.T) {
		_, err := db.Exec(`DELETE FROM booking_platform.bookings`)
		require.NoError(rt, err)
		var model []*listed
		for range rapid.IntRange(0, 25).Draw(rt, "bookings") {
			model = append(model, addListed(rt, db))
		}
		there := slices.Clone(model)
		opts := booking.ListOptions{
			Order: rapid.SampledFrom(listOrders).Draw(rt, "order"), Limit: rapid.IntRange(1, 10).Draw(rt, "limit"),
			Resource: some(rt, "resource", twoSlugs), Customer: some(rt, "customer", someEmails),
			Reference: some(rt, "reference", someRefs),
			Kind:      some(rt, "kind", kinds),
		}
		if rapid.Bool().Draw(rt, "with statuses") {
			opts.Statuses = rapid.SliceOfN(rapid.SampledFrom(overStatuses), 1, 3).Draw(rt, "statuses")
		}
		if rapid.Bool().Draw(rt, "with from") {
			opts.From = aStart(rt)
		}
		if rapid.Bool().Draw(rt, "with to") {
			opts.To = aStart(rt).Add(time.Hour * 6)
		}
		ever, want := map[string]bool{}, 0
		note := func() {
			for _, l := range model {
				ever[l.id] = ever[l.id] || l.fits(opts)
			}
		}
		note()
		for _, l := range there {
			if l.fits(opts) {
				want++
			}
		}
		sum, err := store.Count(t.Context(), opts)
		require.NoError(rt, err)
		require.Equal(rt, booking.Count{N: want}, sum)

		var got []booking.Booking
		for {
			page, err := store.List(t.Context(), opts)
			require.NoError(rt, err)
			require.LessOrEqual(rt, len(page.Bookings), opts.Limit)
			got = append(got, page.Bookings...)
			require.LessOrEqual(rt, len(got), 100, "the list does not end")
			if page.Next == "" {
				break
			}
			require.Len(rt, page.Bookings, opts.Limit, "the page is full")
			opts.After = page.Next
			if rapid.Bool().Draw(rt, "added") && len(model) < 40 {
				model = append(model, addListed(rt, db))
			}
			if rapid.Bool().Draw(rt, "moved") {
				l := rapid.SampledFrom(model).Draw(rt, "which")
				l.touched, l.start, l.status = true, aStart(rt), rapid.SampledFrom(overStatuses).Draw(rt, "becomes")
				_, err := db.Exec(moveListedSQL, l.id, string(l.status), l.start)
				require.NoError(rt, err)
			}
			note()
		}
		times := map[string]int{}
		for i, b := range got {
			times[b.ID]++
			require.True(rt, ever[b.ID], "%s never matched", b.ID)
			if i > 0 {
				require.True(rt, before(opts.Order, got[i-1].Start, b.Start, got[i-1].ID, b.ID), "%d is out of order",
					i)
			}
		}
		for _, l := range there {
			if l.fits(opts) && !l.touched {
				require.Equal(rt, 1, times[l.id], fmt.Sprintf("%+v", *l))
			}
		}
	})
}
