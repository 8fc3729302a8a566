package resourcefile

import (
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/booking-platform/booking-platform/booking"
)

// The fields that a file can have.
var (
	resourceFields = []string{
		"slug", "name", "description", "timeZone", "capacity", "slotLength", "slotStep", "bufferBefore", "bufferAfter",
		"notice",
		"horizon", "holdFor", "holdCap", "currency", "price", "policy", "active", "hours", "exceptions", "offers",
	}
	policyFields = []string{"never", "freeUntil", "closedFrom", "feePercent", "fee"}
	offerFields  = []string{"slug", "name", "slotLength", "slotStep", "bufferBefore", "bufferAfter", "price", "active"}
	weekdays     = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
)

// resource reads one; name stands for it until its slug is known.
func (r *reader) resource(n *yaml.Node, name string) booking.Resource {
	before := len(r.problems)
	fields := r.object(n, name, resourceFields...)
	out := booking.Resource{Active: true}
	// Amounts are read by the currency, wherever it stands, and problems are told by the
	// slug.
	path := name
	for _, f := range fields {
		switch f.key {
		case "slug":
			if out.Slug = r.text(f.value, join(name, f.key)); out.Slug != "" {
				path = join("", out.Slug)
			}
		case "currency":
			out.Price.Currency = strings.ToLower(r.text(f.value, join(name, f.key)))
		}
	}
	for i := range r.problems[before:] {
		p := &r.problems[before+i]
		p.Path = path + strings.TrimPrefix(p.Path, name)
	}
	for _, f := range fields {
		r.field(&out, f, join(path, f.key))
	}
	if n, ok := r.node(n); ok && n.Kind == yaml.MappingNode {
		for _, needed := range []string{"currency", "price"} {
			if !has(fields, needed) {
				r.add(n, join(path, needed), "is required")
			}
		}
		r.check(out, path, n.Line, fields, before)
	}
	return out
}

// field reads one field of a resource.
func (r *reader) field(out *booking.Resource, f entry, path string) {
	switch f.key {
	case "name":
		out.Name = r.text(f.value, path)
	case "description":
		out.Description = r.text(f.value, path)
	case "timeZone":
		out.TimeZone = r.text(f.value, path)
	case "capacity":
		out.Capacity = r.positive(f.value, path)
	case "slotLength":
		out.SlotLength = r.length(f.value, path)
	case "slotStep":
		out.SlotStep = r.length(f.value, path)
	case "bufferBefore":
		out.BufferBefore = r.duration(f.value, path)
	case "bufferAfter":
		out.BufferAfter = r.duration(f.value, path)
	case "notice":
		out.Notice = r.duration(f.value, path)
	case "horizon":
		out.Horizon = r.length(f.value, path)
	case "holdFor":
		out.HoldFor = r.length(f.value, path)
	case "holdCap":
		out.HoldCap = r.length(f.value, path)
	case "price":
		out.Price.Minor = r.money(f.value, path, out.Price.Currency)
	case "policy":
		out.Policy = r.policy(f.value, path, out.Price.Currency)
	case "active":
		out.Active = r.bool(f.value, path)
	case "hours":
		out.Hours = r.hours(f.value, path)
	case "exceptions":
		out.Exceptions = r.exceptions(f.value, path)
	case "offers":
		for i, n := range r.list(f.value, path) {
			out.Offers = append(out.Offers, r.offer(n, fmt.Sprintf("%s[%d]", path, i), out.Price.Currency))
		}
	}
}

func (r *reader) policy(n *yaml.Node, path, currency string) (p booking.Policy) {
	for _, f := range r.object(n, path, policyFields...) {
		at := join(path, f.key)
		switch f.key {
		case "never":
			p.Never = r.bool(f.value, at)
		case "freeUntil":
			p.FreeUntil = r.duration(f.value, at)
		case "closedFrom":
			p.ClosedFrom = r.duration(f.value, at)
		case "feePercent":
			p.FeePercent = r.number(f.value, at)
		case "fee":
			p.FeeMinor = r.money(f.value, at, currency)
		}
	}
	return p
}

func (r *reader) offer(n *yaml.Node, path, currency string) booking.Offer {
	o := booking.Offer{}
	fields := r.object(n, path, offerFields...)
	for _, f := range fields {
		at := join(path, f.key)
		switch f.key {
		case "slug":
			o.Slug = r.text(f.value, at)
		case "name":
			o.Name = r.text(f.value, at)
		case "slotLength":
			o.SlotLength = r.length(f.value, at)
		case "slotStep":
			o.SlotStep = r.length(f.value, at)
		case "bufferBefore":
			o.BufferBefore = r.duration(f.value, at)
		case "bufferAfter":
			o.BufferAfter = r.duration(f.value, at)
		case "price":
			o.Price.Minor = r.money(f.value, at, currency)
		case "active":
			o.Inactive = !r.bool(f.value, at)
		}
	}
	// What is left out would be free of charge.
	if n, ok := r.node(n); ok && n.Kind == yaml.MappingNode && !has(fields, "price") {
		r.add(n, join(path, "price"), "is required")
	}
	return o
}

func (r *reader) hours(n *yaml.Node, path string) (out []booking.Hours) {
	before := len(r.problems)
	for _, f := range r.object(n, path, weekdays...) {
		for _, i := range r.intervals(f.value, join(path, f.key)) {
			for day, name := range weekdays {
				if name == f.key {
					out = append(out, booking.Hours{Weekday: time.Weekday((day + 1) % 7), Opens: i.Opens,
						Closes: i.Closes})
				}
			}
		}
	}
	if len(out) == 0 && len(r.problems) == before {
		// None at all would be open around the clock.
		r.add(n, path, "are never open; leave them out for around the clock, or say active: false")
	}
	return out
}

func (r *reader) exceptions(n *yaml.Node, path string) (out []booking.Exception) {
	for _, f := range r.object(n, path) {
		at := join(path, f.key)
		date, err := booking.ParseDate(f.key)
		if err != nil {
			r.problems = append(r.problems, Problem{f.line, at, "is not a date such as 2026-12-24"})
			continue
		}
		e := booking.Exception{Date: date}
		switch {
		case f.value.Kind == yaml.SequenceNode:
			e.Hours = r.intervals(f.value, at)
		case f.value.Kind != yaml.ScalarNode || f.value.Value != "closed":
			r.add(f.value, at, `must be closed, or a list of opening hours such as ["10:00-14:00"]`)
		}
		out = append(out, e)
	}
	return out
}

func (r *reader) intervals(n *yaml.Node, path string) (out []booking.Interval) {
	if n.Kind != yaml.SequenceNode {
		r.add(n, path, `must be a list of opening hours such as ["9:00-12:30", "14:00-2:00"]`)
		return nil
	}
	for i, item := range r.list(n, path) {
		at := fmt.Sprintf("%s[%d]", path, i)
		text, ok := r.scalar(item, at, "must be opening hours such as 9:00-12:30", "!!str")
		if !ok {
			continue
		}
		interval, err := booking.ParseInterval(text)
		if err != nil {
			r.add(item, at, fmt.Sprintf("is %q, not opening hours such as 9:00-12:30", text))
			continue
		}
		out = append(out, interval)
	}
	return out
}
