package booking_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

var listOrders = []booking.Order{booking.NewestFirst, booking.OldestFirst, booking.ByStart, booking.ByStartDescending}

// One resource has nearly all bookings, most with one e-mail and one project, so a filter
// matches half of the table or very little.
const fillListSQL = `
INSERT INTO booking_platform.bookings (
    id, resource_id, units, party, during, blocked, status, hold_expires_at, amount_minor, currency, email, reference
)
SELECT gen_random_uuid(), CASE WHEN n % 3 = 0 THEN q.id ELSE r.id END, '{[1,2)}', 1, s, s,
    CASE WHEN n % 5 = 0 THEN 'expired' ELSE 'cancelled' END,
    lower(s), 0, 'eur', CASE WHEN n % 3 = 1 THEN 'Desk@Example.com' WHEN n % 3 = 2 THEN n || '@example.com' ELSE '' END,
    CASE WHEN n % 3 = 1 THEN 'project' WHEN n % 3 = 2 THEN 'order ' || n ELSE '' END
FROM booking_platform.resources r, booking_platform.resources q, generate_series(1, 21000) n,
    LATERAL (SELECT tstzrange('2030-01-01Z'::timestamptz + n * interval '1 minute',
    '2030-01-01Z'::timestamptz + n * interval '1 minute' + interval '1 hour')) AS t(s)
WHERE r.slug = 'court' AND q.slug = 'quiet'`

// start2030 is the start of the range that fillListSQL fills.
var start2030 = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// The order of the ids is unrelated to that of the table.
func TestList_ManyBookings(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	r := create(t, store)
	create(t, store, func(r *booking.Resource) { r.Slug = "quiet" })
	exec(t, db, fillListSQL)
	exec(t, db, `VACUUM ANALYZE`)
	t.Run("indexes", func(t *testing.T) { readIndexes(t, db, r) })
	t.Run("little", func(t *testing.T) { readLittle(t, db) })
	t.Run("rare", func(t *testing.T) { findWhatIsRare(t, db, store) })
}

const middleID = "80000000-0000-4000-8000-000000000000"

func literal(arg any) string {
	if at, ok := arg.(time.Time); ok {
		arg = at.Format(time.RFC3339Nano)
	}
	return `'` + fmt.Sprint(arg) + `'`
}

// Every page, in every order, and every count reads one index only, with custom and
// generic plans.
func readIndexes(t *testing.T, db *sql.DB, r booking.Resource) {
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	exec(t, conn, `SET plan_cache_mode = force_generic_plan`)
	from, to := start2030.Add(5000*time.Minute), start2030.Add(15000*time.Minute)
	// A sort is fine for a filter that matches fewer rows than a count may read, here a
	// lowered limit.
	const few = "Sort"
	for name, list := range map[string]struct {
		opts             booking.ListOptions
		created, byStart string
	}{
		"all":   {booking.ListOptions{}, "bookings_pkey", "bookings_by_start"},
		"range": {booking.ListOptions{From: from, To: to}, "bookings_pkey", "bookings_by_start"},
		"status": {booking.ListOptions{Statuses: []booking.Status{booking.StatusExpired}}, "bookings_pkey",
			"bookings_by_start"},
		"no status": {booking.ListOptions{Statuses: []booking.Status{booking.StatusNoShow}, From: from},
			"bookings_pkey", "bookings_by_start"},
		"kind": {booking.ListOptions{Kind: booking.KindBlock, To: to}, "bookings_pkey",
			"bookings_by_start"},
		"resource": {booking.ListOptions{Resource: r.ID}, "bookings_by_resource",
			"bookings_by_resource_start"},
		"unknown resource": {booking.ListOptions{Resource: "019a2b3c-0000-7000-8000-000000000000"},
			"bookings_by_resource", "bookings_by_resource_start"},
		"slug": {booking.ListOptions{Resource: "court"}, "bookings_by_resource",
			"bookings_by_resource_start"},
		"resource, range, status": {booking.ListOptions{Resource: "court", From: from, To: to,
			Statuses: []booking.Status{booking.StatusExpired}}, "bookings_by_resource", "bookings_by_resource_start"},
		"desk": {booking.ListOptions{Customer: "desk@example.com"}, "bookings_by_email",
			"bookings_by_email_start"},
		"customer": {booking.ListOptions{Customer: "20@EXAMPLE.com"}, "bookings_by_email",
			"bookings_by_email_start"},
		"customer, resource, range": {booking.ListOptions{Customer: "desk@example.com", Resource: r.ID, To: to},
			"bookings_by_email", "bookings_by_email_start"},
		"project": {booking.ListOptions{Reference: "project"}, "bookings_reference", "bookings_by_reference_start"},
		"order":   {booking.ListOptions{Reference: "order 20"}, "bookings_reference", "bookings_by_reference_start"},
		"everything": {booking.ListOptions{
			Reference: "project", Customer: "desk@example.com", Resource: "court", From: from, To: to,
			Kind:     booking.KindBooking,
			Statuses: []booking.Status{booking.StatusExpired, booking.StatusPending},
		}, "bookings_reference", "bookings_by_reference_start"},
	} {
		for _, order := range listOrders {
			opts, want := list.opts, list.created
			if opts.Order = order; order == booking.ByStart || order == booking.ByStartDescending {
				want = list.byStart
			}
			check := func(what string, want []string, query string, args []any) {
				t.Helper()
				what = name + ", " + string(order) + ", " + what
				reads := func(plan []string) []string {
					// A list of two resources reads all.
					return slices.DeleteFunc(plan, func(s string) bool {
						return s == "Seq Scan on resources" ||
							strings.HasPrefix(s, "resources_")
					})
				}
				require.Subset(t, want, reads(indexes(t, db, query, args...)), what)
				exec(t, conn, `PREPARE list AS `+query)
				literals := make([]string, len(args))
				for i, arg := range args {
					literals[i] = literal(arg)
				}
				call := `EXECUTE list`
				if len(literals) > 0 {
					call += ` (` + strings.Join(literals, ", ") + `)`
				}
				require.Subset(t, want, reads(indexes(t, conn, call)), what+", generic plan")
				exec(t, conn, `DEALLOCATE list`)
			}
			query, args := booking.ListQuery(opts)
			check("first page", []string{want}, query, args)
			sum, sumArgs := booking.CountQuery(opts, booking.MaxCountRows/10)
			if !opts.From.IsZero() || !opts.To.IsZero() {
				check("count", []string{list.byStart, few}, sum, sumArgs)
			} else {
				check("count", []string{list.created, list.byStart, few}, sum, sumArgs)
			}
			opts.After = booking.Cursor(opts, booking.Booking{ID: middleID, Start: from.Add(time.Hour)})
			query, args = booking.ListQuery(opts)
			check("next page", []string{want}, query, args)
		}
	}
}

// A page in the middle costs as much as the first, and the last stops at the end of its
// range.
func readLittle(t *testing.T, db *sql.DB) {
	middle := start2030.Add(10500 * time.Minute)
	for name, opts := range map[string]booking.ListOptions{
		"all":      {},
		"resource": {Resource: "court"},
		"customer": {Customer: "desk@example.com"},
		"order":    {Reference: "project"},
	} {
		for _, order := range listOrders {
			opts.Order, opts.Limit = order, 20
			opts.From, opts.To = start2030, start2030.Add(21000*time.Minute)
			opts.After = booking.Cursor(opts, booking.Booking{ID: middleID, Start: middle})
			query, args := booking.ListQuery(opts)
			require.Less(t, pages(t, db, query, args...), 60, "%s, %s, from the middle", name, order)
			if order == booking.NewestFirst || order == booking.OldestFirst {
				continue
			}
			opts.After = ""
			opts.From, opts.To = middle, middle.Add(30*time.Minute)
			query, args = booking.ListQuery(opts)
			require.Less(t, pages(t, db, query, args...), 120, "%s, %s, half an hour", name, order)
			query, args = booking.CountQuery(opts, booking.MaxCountRows)
			require.Less(t, pages(t, db, query, args...), 120, "%s, %s, count of half an hour", name, order)
		}
	}
}

// With a rare filter a page may be empty, with a cursor to go on.
func findWhatIsRare(t *testing.T, db *sql.DB, store *booking.Store) {
	opts := booking.ListOptions{Resource: "court", Statuses: []booking.Status{booking.StatusNoShow},
		Order: booking.ByStart}
	query, args := booking.ListQuery(opts)
	require.Less(t, pages(t, db, query, args...), booking.MaxRowsPerPage*2)
	exec(t, db, `UPDATE booking_platform.bookings SET status = 'no_show' WHERE id IN (
		SELECT b.id FROM booking_platform.bookings b WHERE b.email <> '' ORDER BY lower(b.during) DESC LIMIT 1)`)
	pages, all := 0, []booking.Booking{}
	for {
		page, err := store.List(t.Context(), opts)
		require.NoError(t, err)
		pages, all = pages+1, append(all, page.Bookings...)
		if opts.After = page.Next; page.Next == "" {
			break
		}
	}
	require.Len(t, all, 1)
	// 14000 rows: seven pages that end with their last row, and one that finds the end.
	require.Equal(t, 8, pages)

	for _, sum := range []struct {
		opts booking.ListOptions
		want booking.Count
	}{
		{booking.ListOptions{}, booking.Count{N: 10000, More: true}},
		{booking.ListOptions{Resource: "quiet"}, booking.Count{N: 7000}},
		{booking.ListOptions{Customer: "DESK@example.com"}, booking.Count{N: 7000}},
		{booking.ListOptions{From: start2030, To: start2030.Add(5000 * time.Minute)}, booking.Count{N: 4999}},
		{booking.ListOptions{Customer: "desk@example.com", Statuses: []booking.Status{booking.StatusExpired}},
			booking.Count{N: 1400}},
		{booking.ListOptions{Statuses: []booking.Status{booking.StatusPending}, Limit: 1, After: "ignored"},
			booking.Count{More: true}},
	} {
		got, err := store.Count(t.Context(), sum.opts)
		require.NoError(t, err)
		require.Equal(t, sum.want, got, "%+v", sum.opts)
	}
}
