package booking

import (
	"slices"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/internal/valid"
)

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
		case Pending, Confirmed, Cancelled, Completed, NoShow, Expired:
		default:
			p.add("status", "is not a status of bookings")
		}
	}
	switch o.Kind {
	case "", Sold, Block:
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
