package booking

import (
	"context"
	"time"
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
	// Kind is what it is: [Sold] or [Block]; "" is both.
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
