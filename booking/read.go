package booking

import (
	"context"
	"fmt"
	"strings"
)

// Get returns a booking by its id; the error is [ErrNotFound] when there is none. One round trip.
func (s *Store) Get(ctx context.Context, id string) (Booking, error) { return get(ctx, s.run, id) }

func get(ctx context.Context, run runner, id string) (Booking, error) {
	var b Booking
	err := run(ctx, func(q Querier) error {
		if !isID(id) {
			return ErrNotFound
		}
		row, found, err := selectOne[bookingRow](ctx, q, bookingByIDSQL, strings.ToLower(id))
		if err == nil && !found {
			err = ErrNotFound
		}
		if err == nil {
			b, err = row.booking()
		}
		return err
	})
	return b, wrap(ctx, "get", err)
}

// ListOptions narrow down what [Store.List] returns; the zero value is the newest 50 of all bookings.
type ListOptions struct {
	// Before is the id of the last booking of the page before; the page begins after it. "" is the first page.
	Before string
	// Limit is the size of a page, 1 to 500; 0 stands for 50.
	Limit int
	// Resource, an id or a slug, Reference and Status narrow the list down; "" does not. An unknown resource has no
	// bookings.
	Resource, Reference string
	Status              Status
}

const (
	listSQL           = `SELECT` + bookingColumns + ` FROM booking_platform.bookings b WHERE true`
	listBeforeSQL     = ` AND b.id < $%d::uuid`
	listResourceSQL   = ` AND b.resource_id = $%d::uuid`
	listSlugSQL       = ` AND b.resource_id = (SELECT r.id FROM booking_platform.resources r WHERE r.slug = $%d::text)`
	listReferenceSQL  = ` AND b.reference = $%d::text AND b.reference <> ''`
	listStatusSQL     = ` AND b.status = $%d::text`
	listOrderLimitSQL = ` ORDER BY b.id DESC LIMIT $%d::integer`
)

// List returns bookings, the newest first, a page at a time: pass the last one's id as Before for the next page,
// until a page is empty. What is booked meanwhile shifts nothing. A [*ValidationError] names before, limit, resource,
// reference or status. One round trip, through an index unless the status alone narrows it down.
func (s *Store) List(ctx context.Context, opts ListOptions) ([]Booking, error) {
	return list(ctx, s.run, opts)
}

func list(ctx context.Context, run runner, opts ListOptions) ([]Booking, error) {
	if err := opts.check().err(); err != nil {
		return nil, wrap(ctx, "list", err)
	}
	query, args := opts.query()
	var out []Booking
	err := run(ctx, func(q Querier) error {
		rows, err := selectAll[bookingRow](ctx, q, query, args...)
		if err != nil {
			return err
		}
		out = make([]Booking, 0, len(rows))
		for _, row := range rows {
			b, err := row.booking()
			if err != nil {
				return err
			}
			out = append(out, b)
		}
		return nil
	})
	return out, wrap(ctx, "list", err)
}

func (o ListOptions) check() problems {
	p := problems{}
	if o.Before != "" && !isID(o.Before) {
		p.add("before", "is not the id of a booking")
	}
	if o.Limit < 0 || o.Limit > 500 {
		p.add("limit", "must be between 1 and 500")
	}
	if o.Resource != "" && !isID(o.Resource) && !isSlug(o.Resource) {
		p.add("resource", "is neither an id nor a slug")
	}
	p.add("reference", textProblem(o.Reference, 255, ""))
	switch o.Status {
	case "", Pending, Confirmed, Cancelled, Completed, NoShow, Expired:
	default:
		p.add("status", "is not a status of bookings")
	}
	return p
}

// query puts together the conditions that are asked for and no others, so that each list finds its index; the values
// are parameters.
func (o ListOptions) query() (string, []any) {
	query, args := listSQL, []any{}
	where := func(condition string, value any) {
		args = append(args, value)
		query += fmt.Sprintf(condition, len(args))
	}
	if o.Before != "" {
		where(listBeforeSQL, o.Before)
	}
	switch {
	case isID(o.Resource):
		where(listResourceSQL, o.Resource)
	case o.Resource != "":
		where(listSlugSQL, o.Resource)
	}
	if o.Reference != "" {
		where(listReferenceSQL, o.Reference)
	}
	if o.Status != "" {
		where(listStatusSQL, string(o.Status))
	}
	limit := o.Limit
	if limit == 0 {
		limit = 50
	}
	where(listOrderLimitSQL, limit)
	return query, args
}
