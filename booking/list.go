package booking

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/booking-platform/booking-platform/internal/valid"
)

// Order is the order of a list.
type Order string

// The orders of a list. Those of the same instant are in the order of their ids.
const (
	// NewestFirst is by creation, the newest first; "" stands for it.
	NewestFirst Order = "-created"
	// OldestFirst is by creation, the oldest first.
	OldestFirst Order = "created"
	// ByStart is by the time a booking begins, the earliest first.
	ByStart Order = "start"
	// ByStartDescending is by the time a booking begins, the latest first.
	ByStartDescending Order = "-start"
)

// ListOptions say what [Store.List] and [Store.Count] are asked for; the zero value is
// the newest 50 of all bookings. What is given narrows the list down, all of it together;
// what is left out does not.
type ListOptions struct {
	// Order is the order; "" is [NewestFirst].
	Order Order
	// After is the [Page.Next] of the page before, of a list with the same order and the
	// same filters; "" is the first page.
	After string
	// Limit is the size of a page, 1 to 500; 0 stands for 50. It may differ from page to
	// page.
	Limit int
	// Statuses are those that a booking may have. A hold whose time has passed is pending
	// until it is released.
	Statuses []Status
	// Kind is what it is: [KindBooking] or [KindBlock]; "" is both.
	Kind Kind
	// Resource is an id or a slug. One that is not there has no bookings.
	Resource string
	// Customer is an e-mail address, in whatever case.
	Customer string
	// Reference is the caller's own, exactly as it was given.
	Reference string
	// From and To bound when a booking begins: at From or later, and before To. The zero
	// time does not.
	From, To time.Time
}

// Page is a part of a list.
type Page struct {
	// Bookings are in the order that was asked for: [ListOptions.Limit] of them at most.
	// They may be fewer, and none at all, while Next is not "".
	Bookings []Booking
	// Next is where the next page begins: give it as [ListOptions.After], with the same
	// order and filters, now or at any later time. It is "" on the last page. What it
	// looks like is not promised.
	Next string
}

// examined bounds how many rows one page looks at. A status has no index, which would
// cost every confirmation its HOT update, so rows are read by an index of the order and
// the status is looked up in each.
const examined = 2000

// List returns bookings, a page at a time: pass [Page.Next] as After for the next one,
// until it is "". It is stable: pages continue from the last booking's place in the order
// and not by a number, so what is booked, cancelled or moved meanwhile shifts nothing.
// Who was there all along and is not moved comes exactly once. In an order by start, what
// is moved from one side of the place to the other meanwhile comes twice, or not at all;
// in [OldestFirst], what was begun before the last one that is listed, and is committed
// after, is missed.
//
// However many bookings there are, a page reads 2000 of them at most, by an index. Of
// Reference, Customer and Resource the first that is given is looked up, and in an order
// by start so are From and To; the other filters are looked at row by row. A page that
// finds few that fit among its 2000 is short or empty, and its Next goes on behind them:
// only Next tells that there are no more.
//
// A [*ValidationError] names order, after, limit, status, kind, resource, customer,
// reference, from or to; after is also that of another order or another filter. One round
// trip.
func (s *Store) List(ctx context.Context, opts ListOptions) (Page, error) {
	return list(ctx, s.read, opts)
}

func list(ctx context.Context, run runner, opts ListOptions) (Page, error) {
	if err := opts.check().err(); err != nil {
		return Page{}, wrap(ctx, "list", err)
	}
	opts = opts.normal()
	after, problem := opts.position()
	if problem != "" {
		return Page{}, wrap(ctx, "list", problems{"after": problem}.err())
	}
	query, args := opts.query(after)
	var page Page
	err := run(ctx, func(q Querier) error {
		rows, err := selectAll[listedRow](ctx, q, query, args...)
		if err == nil {
			page, err = opts.page(rows)
		}
		return err
	})
	return page, wrap(ctx, "list", err)
}

// listedRow is a row that was looked at, and whether it is what was asked for. The last
// of those that may be looked at is always among the rows, so that the next page knows
// where to begin.
type listedRow struct {
	bookingRow
	Fits bool `db:"fits"`
	Nth  int  `db:"nth"`
}

// page makes a page of rows: one more than its limit, if there are so many.
func (o ListOptions) page(rows []listedRow) (Page, error) {
	page := Page{Bookings: []Booking{}}
	for i, row := range rows {
		if row.Fits && len(page.Bookings) == o.Limit {
			// One more fits: the page before it is full.
			last := page.Bookings[o.Limit-1]
			page.Next = o.cursor(position{start: last.Start, id: last.ID})
			return page, nil
		}
		if row.Fits {
			b, err := row.booking()
			if err != nil {
				return Page{}, err
			}
			page.Bookings = append(page.Bookings, b)
		}
		if i == len(rows)-1 && row.Nth == examined {
			page.Next = o.cursor(position{start: row.StartsAt, id: row.ID})
		}
	}
	return page, nil
}

func (o ListOptions) check() problems {
	p := problems{}
	switch o.Order {
	case "", NewestFirst, OldestFirst, ByStart, ByStartDescending:
	default:
		p.add("order", "must be created, -created, start or -start")
	}
	if o.Limit < 0 || o.Limit > 500 {
		p.add("limit", "must be between 1 and 500")
	}
	for _, status := range o.Statuses {
		switch status {
		case StatusPending, StatusConfirmed, StatusCancelled, StatusCompleted, StatusNoShow, StatusExpired:
		default:
			p.add("status", "is not a status of bookings")
		}
	}
	switch o.Kind {
	case "", KindBooking, KindBlock:
	default:
		p.add("kind", "must be booking or block")
	}
	if o.Resource != "" && !isID(o.Resource) && !isSlug(o.Resource) {
		p.add("resource", "is neither an id nor a slug")
	}
	p.add("customer", valid.Storable(o.Customer, 254, ""))
	p.add("reference", valid.Storable(o.Reference, 255, ""))
	if !o.From.IsZero() {
		p.add("from", instantProblem(o.From))
	}
	if !o.To.IsZero() {
		p.add("to", instantProblem(o.To))
	}
	if !o.From.IsZero() && !o.To.IsZero() && !o.To.After(o.From) {
		p.add("to", "is not after from")
	}
	return p
}

// normal writes what was asked for in one way only.
func (o ListOptions) normal() ListOptions {
	if o.Order == "" {
		o.Order = NewestFirst
	}
	if o.Limit == 0 {
		o.Limit = 50
	}
	o.Statuses = slices.Compact(slices.Sorted(slices.Values(o.Statuses)))
	o.Resource = strings.ToLower(o.Resource)
	o.From, o.To = ceilMicrosecond(o.From), ceilMicrosecond(o.To)
	return o
}

// ceilMicrosecond gives the first instant that Postgres knows at t or later.
func ceilMicrosecond(t time.Time) time.Time {
	return t.UTC().Add(time.Microsecond - 1).Truncate(time.Microsecond)
}

func (o Order) byStart() bool { return o == ByStart || o == ByStartDescending }

func (o Order) descending() bool { return o == NewestFirst || o == ByStartDescending }

// position is where a page ends: the keys of the last booking that was looked at.
type position struct {
	// start counts in orders by start only.
	start time.Time
	id    string
}

// A cursor is, in base64: the first bytes of a hash of the order and the filters, the
// start in microseconds, the id.
const (
	cursorHash = 8
	cursorSize = cursorHash + 8 + 16
)

// fingerprint tells lists apart that differ in their order or a filter. The options are
// normal.
func (o ListOptions) fingerprint() []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "1 %q %q %q %q %q %q %d %d",
		o.Order, o.Statuses, o.Kind, o.Resource, strings.ToLower(o.Customer), o.Reference, o.From.UnixMicro(),
		o.To.UnixMicro()))
	return sum[:cursorHash]
}

// cursor writes a place of this list.
func (o ListOptions) cursor(at position) string {
	raw := o.fingerprint()
	var start int64
	if o.Order.byStart() {
		start = at.start.UnixMicro()
	}
	raw = binary.BigEndian.AppendUint64(raw, uint64(start))
	id := uuid.MustParse(at.id) // Postgres wrote it.
	return base64.RawURLEncoding.EncodeToString(append(raw, id[:]...))
}

// position reads the cursor the list goes on from, if there is one, or says what is wrong
// with it.
func (o ListOptions) position() (*position, string) {
	if o.After == "" {
		return nil, ""
	}
	if len(o.After) != base64.RawURLEncoding.EncodedLen(cursorSize) {
		return nil, "is not where a page ended"
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(o.After)
	if err != nil {
		return nil, "is not where a page ended"
	}
	if !bytes.Equal(raw[:cursorHash], o.fingerprint()) {
		return nil, "belongs to a list with another order or other filters"
	}
	at := position{
		start: time.UnixMicro(int64(binary.BigEndian.Uint64(raw[cursorHash:]))).UTC(),
		id:    uuid.UUID(raw[cursorHash+8:]).String(),
	}
	// The place stands for the bound of the range on its side, and is within it: only
	// what was written by hand is not.
	if o.Order.byStart() && (at.start.Year() < 1 || at.start.Year() > 9999 ||
		!o.From.IsZero() && at.start.Before(o.From) || !o.To.IsZero() && !at.start.Before(o.To)) {
		return nil, "is not where a page ended"
	}
	return &at, ""
}

// Count is how many bookings there are of a list, as far as they were counted.
type Count struct {
	// N is how many were counted: all there are, unless More is true.
	N int
	// More tells that the count ended before the list did. There are N of them at least.
	More bool
}

// counted bounds how many rows a count looks at.
const counted = 10000

// One row more tells whether there are more.
const countSQL = `
SELECT count(*) FILTER (WHERE b.fits) AS n, count(*) AS looked_at
FROM (
    SELECT COALESCE(%[1]s, false) AS fits
    FROM booking_platform.bookings b
    WHERE %[2]s
    ORDER BY %[3]s
    LIMIT %[4]d
) b`

type countRow struct {
	N        int `db:"n"`
	LookedAt int `db:"looked_at"`
}

// Count counts the bookings that [Store.List] lists for the same options on all of its
// pages. After and Limit do not matter, and neither does Order. It looks at 10,000 rows
// at most, by the index that a list would read, and says so where there are more: "more
// than 10000", or, where a filter had to be looked at row by row, "37 at least". It never
// reads the whole table. A [*ValidationError] names what is wrong, as that of a list
// does. One round trip.
func (s *Store) Count(ctx context.Context, opts ListOptions) (Count, error) {
	return countBookings(ctx, s.read, opts)
}

func countBookings(ctx context.Context, run runner, opts ListOptions) (Count, error) {
	if err := opts.check().err(); err != nil {
		return Count{}, wrap(ctx, "count", err)
	}
	query, args := opts.normal().countQuery(counted)
	var row countRow
	err := run(ctx, func(q Querier) (err error) {
		row, _, err = selectOne[countRow](ctx, q, query, args...)
		return err
	})
	return Count{N: min(row.N, counted), More: row.LookedAt > counted}, wrap(ctx, "count", err)
}

// countQuery is the statement of a count. Where a range is asked for, its index is read;
// the order only sees to it that one is.
func (o ListOptions) countQuery(most int) (string, []any) {
	if !o.From.IsZero() || !o.To.IsZero() {
		o.Order = ByStart
	}
	l := o.listing(nil)
	if len(l.keys) > 1 {
		l.keys = l.keys[:len(l.keys)-1]
	}
	return fmt.Sprintf(countSQL, all(l.filtered), all(l.scanned), o.order(l.keys), most+1), l.args
}
