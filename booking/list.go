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

// The orders of a list. Ties are ordered by id.
const (
	// NewestFirst: by creation, newest first; the default.
	NewestFirst Order = "-created"
	// OldestFirst: by creation, oldest first.
	OldestFirst Order = "created"
	// ByStart: by start, earliest first.
	ByStart Order = "start"
	// ByStartDescending: by start, latest first.
	ByStartDescending Order = "-start"
)

// ListOptions configure [Store.List] and [Store.Count]; the zero value selects the newest
// 50 of all bookings. All filters given apply together.
type ListOptions struct {
	// Order is the order; "" means [NewestFirst].
	Order Order
	// After is the [Page.Next] of the previous page, of the same order and filters; ""
	// for the first page.
	After string
	// Limit is the size of this page, 1 to 500; 0 means 50.
	Limit int
	// Statuses selects bookings with one of them.
	Statuses []Status
	// Kind is [KindBooking] or [KindBlock]; "" means both.
	Kind Kind
	// Resource is an id or a slug. An unknown one has no bookings.
	Resource string
	// Customer is an e-mail address, compared case-insensitively.
	Customer string
	// Reference is compared exactly.
	Reference string
	// Number is a booking's, however it was typed; see [Store.ByNumber].
	Number string
	// From and To bound the start of a booking, To exclusive; the zero time does not.
	From, To time.Time
}

// Page is a part of a list.
type Page struct {
	// Bookings may be fewer than [ListOptions.Limit], or none, although Next is not "".
	Bookings []Booking
	// Next is the [ListOptions.After] of the next page, at any later time; "" on the last
	// page. Its format is not specified.
	Next string
}

// maxRowsPerPage bounds the rows that one page reads by an index of the order. There is
// no index on status, which would cost every confirmation its HOT update.
const maxRowsPerPage = 2000

// List returns a page of bookings; pass [Page.Next] as After for the next one. Pages
// continue after the last booking of the one before, so a booking that exists throughout
// and is not moved occurs exactly once. In an order by start, a booking moved meanwhile
// may occur twice or not at all; [OldestFirst] misses a booking that was committed late.
//
// A page reads at most 2000 rows, by an index, however many bookings there are. The first
// given of Number, Reference, Customer and Resource is looked up, and in an order by start From
// and To; other filters are applied row by row. With few matches among 2000 rows a page
// is short, and Next continues.
//
// A [*ValidationError] names order, after, limit, status, kind, resource, customer,
// reference, number, from or to. One round trip.
func (s *Store) List(ctx context.Context, opts ListOptions) (Page, error) {
	var page Page
	err := s.readList(ctx, opts, func(ctx context.Context, run runner) (err error) {
		page, err = list(ctx, run, opts)
		return err
	})
	return page, err
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

// listedRow is a row that was read. The last row that a page may read is always returned,
// matching or not, so that the next page knows where to begin.
type listedRow struct {
	bookingRow
	Fits bool `db:"fits"`
	Nth  int  `db:"nth"`
}

// page makes a page of rows, one more than its limit if there are that many.
func (o ListOptions) page(rows []listedRow) (Page, error) {
	page := Page{Bookings: []Booking{}}
	for i, row := range rows {
		if row.Fits && len(page.Bookings) == o.Limit {
			// The page is full and there is another match.
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
		if i == len(rows)-1 && row.Nth == maxRowsPerPage {
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
	if _, ok := normalNumber(o.Number); o.Number != "" && !ok {
		p.add("number", "is not the number of a booking")
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

func (o ListOptions) normal() ListOptions {
	if o.Order == "" {
		o.Order = NewestFirst
	}
	if o.Limit == 0 {
		o.Limit = 50
	}
	o.Statuses = slices.Compact(slices.Sorted(slices.Values(o.Statuses)))
	o.Resource = strings.ToLower(o.Resource)
	o.Number, _ = normalNumber(o.Number)
	o.From, o.To = ceilMicrosecond(o.From), ceilMicrosecond(o.To)
	return o
}

// ceilMicrosecond rounds up to Postgres's resolution.
func ceilMicrosecond(t time.Time) time.Time {
	return t.UTC().Add(time.Microsecond - 1).Truncate(time.Microsecond)
}

func (o Order) byStart() bool { return o == ByStart || o == ByStartDescending }

func (o Order) descending() bool { return o == NewestFirst || o == ByStartDescending }

// position is the end of a page: the keys of the last row read.
type position struct {
	// start is used in orders by start only.
	start time.Time
	id    string
}

// A cursor is base64 of the first bytes of a hash of order and filters, the start in
// microseconds, and the id.
const (
	cursorHashSize = 8
	cursorSize     = cursorHashSize + 8 + 16
)

// fingerprint identifies the order and the filters of normal options.
func (o ListOptions) fingerprint() []byte {
	filters := fmt.Appendf(nil, "1 %q %q %q %q %q %q %d %d",
		o.Order, o.Statuses, o.Kind, o.Resource, strings.ToLower(o.Customer), o.Reference, o.From.UnixMicro(),
		o.To.UnixMicro())
	if o.Number != "" {
		filters = fmt.Appendf(filters, " %q", o.Number)
	}
	sum := sha256.Sum256(filters)
	return sum[:cursorHashSize]
}

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
	if !bytes.Equal(raw[:cursorHashSize], o.fingerprint()) {
		return nil, "belongs to a list with another order or other filters"
	}
	at := position{
		start: time.UnixMicro(int64(binary.BigEndian.Uint64(raw[cursorHashSize:]))).UTC(),
		id:    uuid.UUID(raw[cursorHashSize+8:]).String(),
	}
	// The position replaces the bound of the range on its side and lies within it, unless
	// the cursor was forged.
	if o.Order.byStart() && (at.start.Year() < 1 || at.start.Year() > 9999 ||
		!o.From.IsZero() && at.start.Before(o.From) || !o.To.IsZero() && !at.start.Before(o.To)) {
		return nil, "is not where a page ended"
	}
	return &at, ""
}

// Count is the number of bookings of a list.
type Count struct {
	// N is how many were counted: all, unless More is true.
	N int
	// More means that there are at least N.
	More bool
}

const maxCountRows = 10000

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

// Count counts the bookings of a list; After, Limit and Order do not matter. It reads at
// most 10,000 rows, by the index the list would use, and sets More if there are more, or
// if a filter applied row by row may match more. Errors as for [Store.List]. One round
// trip.
func (s *Store) Count(ctx context.Context, opts ListOptions) (Count, error) {
	var counted Count
	err := s.readList(ctx, opts, func(ctx context.Context, run runner) (err error) {
		counted, err = countBookings(ctx, run, opts)
		return err
	})
	return counted, err
}

func countBookings(ctx context.Context, run runner, opts ListOptions) (Count, error) {
	if err := opts.check().err(); err != nil {
		return Count{}, wrap(ctx, "count", err)
	}
	query, args := opts.normal().countQuery(maxCountRows)
	var row countRow
	err := run(ctx, func(q Querier) (err error) {
		row, _, err = selectOne[countRow](ctx, q, query, args...)
		return err
	})
	return Count{N: min(row.N, maxCountRows), More: row.LookedAt > maxCountRows}, wrap(ctx, "count", err)
}

// countQuery returns the statement of a count. With a range, an order by start makes it
// use that index.
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
