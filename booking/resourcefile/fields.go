package resourcefile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/booking-platform/booking-platform/booking"
)

// field is a key of an object. read sets the variable that it belongs to; write returns
// its value, or nil to leave it out.
type field struct {
	key string
	kind
}

type kind struct {
	read  func(r *reader, n *yaml.Node, path string)
	write func() *yaml.Node
}

func (k kind) unless(isDefault bool) kind {
	if isDefault {
		k.write = func() *yaml.Node { return nil }
	}
	return k
}

// resourceFields reads amounts in the currency that r has already.
func resourceFields(r *booking.Resource) []field {
	return []field{
		{"slug", text(&r.Slug)},
		{"name", text(&r.Name)},
		{"description", text(&r.Description).unless(r.Description == "")},
		{"timeZone", text(&r.TimeZone)},
		{"capacity", positive(&r.Capacity)},
		{"slotLength", length(&r.SlotLength)},
		{"slotStep", length(&r.SlotStep)},
		{"bufferBefore", duration(&r.BufferBefore).unless(r.BufferBefore == 0)},
		{"bufferAfter", duration(&r.BufferAfter).unless(r.BufferAfter == 0)},
		{"notice", duration(&r.Notice).unless(r.Notice == 0)},
		{"horizon", length(&r.Horizon)},
		{"holdFor", length(&r.HoldFor)},
		{"holdCap", length(&r.HoldCap)},
		{"currency", currency(&r.Price.Currency)},
		{"price", amount(&r.Price.Minor, r.Price.Currency)},
		{"policy", policy(&r.Policy, r.Price.Currency).unless(r.Policy == booking.Policy{})},
		{"active", negated(&r.Inactive)},
		{"hours", hours(&r.Hours).unless(len(r.Hours) == 0)},
		{"exceptions", exceptions(&r.Exceptions).unless(len(r.Exceptions) == 0)},
		{"offers", offers(&r.Offers, r.Price.Currency).unless(len(r.Offers) == 0)},
	}
}

func policyFields(p *booking.Policy, currency string) []field {
	return []field{
		{"never", boolean(&p.Never).unless(!p.Never)},
		{"freeUntil", duration(&p.FreeUntil).unless(p.FreeUntil == 0)},
		{"closedFrom", duration(&p.ClosedFrom).unless(p.ClosedFrom == 0)},
		{"feePercent", number(&p.FeePercent).unless(p.FeePercent == 0)},
		{"fee", amount(&p.FeeMinor, currency).unless(p.FeeMinor == 0)},
	}
}

func offerFields(o *booking.Offer, currency string) []field {
	return []field{
		{"slug", text(&o.Slug)},
		{"name", text(&o.Name)},
		{"slotLength", length(&o.SlotLength)},
		{"slotStep", length(&o.SlotStep)},
		{"bufferBefore", duration(&o.BufferBefore).unless(o.BufferBefore == 0)},
		{"bufferAfter", duration(&o.BufferAfter).unless(o.BufferAfter == 0)},
		{"price", amount(&o.Price.Minor, currency)},
		{"active", negated(&o.Inactive).unless(!o.Inactive)},
	}
}

func policy(p *booking.Policy, currency string) kind {
	return kind{
		func(r *reader, n *yaml.Node, path string) { r.fields(n, path, policyFields(p, currency)) },
		func() *yaml.Node { return mapping(policyFields(p, currency)) },
	}
}

func offers(all *[]booking.Offer, currency string) kind {
	return kind{
		func(r *reader, n *yaml.Node, path string) {
			for i, item := range r.list(n, path) {
				o := booking.Offer{Price: booking.Money{Currency: currency}}
				// An offer without a price would be free of charge.
				r.fields(item, fmt.Sprintf("%s[%d]", path, i), offerFields(&o, currency), "price")
				*all = append(*all, o)
			}
		},
		func() *yaml.Node {
			list := &yaml.Node{Kind: yaml.SequenceNode}
			for _, o := range *all {
				list.Content = append(list.Content, mapping(offerFields(&o, o.Price.Currency)))
			}
			return list
		},
	}
}

// weekdays begins with Monday, unlike time.Weekday.
var weekdays = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

func hours(all *[]booking.Hours) kind {
	return kind{
		func(r *reader, n *yaml.Node, path string) {
			before := len(r.problems)
			for _, e := range r.object(n, path, weekdays...) {
				day := time.Weekday((slices.Index(weekdays, e.key) + 1) % 7)
				for _, i := range r.intervals(e.value, join(path, e.key)) {
					*all = append(*all, booking.Hours{Weekday: day, Opens: i.Opens, Closes: i.Closes})
				}
			}
			if len(*all) == 0 && len(r.problems) == before {
				// A resource without hours is open around the clock.
				r.add(n, path, "are never open; leave them out for around the clock, or say active: false")
			}
		},
		func() *yaml.Node {
			days := &yaml.Node{Kind: yaml.MappingNode}
			for i, name := range weekdays {
				var day []booking.Interval
				for _, h := range *all {
					if h.Weekday == time.Weekday((i+1)%7) {
						day = append(day, booking.Interval{Opens: h.Opens, Closes: h.Closes})
					}
				}
				if len(day) > 0 {
					days.Content = append(days.Content, textNode(name), intervalsNode(day))
				}
			}
			return days
		},
	}
}

func exceptions(all *[]booking.Exception) kind {
	return kind{
		func(r *reader, n *yaml.Node, path string) {
			for _, e := range r.object(n, path) {
				at := join(path, e.key)
				date, err := booking.ParseDate(e.key)
				if err != nil {
					r.problems = append(r.problems, Problem{e.line, at, "is not a date such as 2026-12-24"})
					continue
				}
				exception := booking.Exception{Date: date}
				switch {
				case e.value.Kind == yaml.SequenceNode:
					exception.Hours = r.intervals(e.value, at)
				case e.value.Kind != yaml.ScalarNode || e.value.Value != "closed":
					r.add(e.value, at, `must be closed, or a list of opening hours such as ["10:00-14:00"]`)
				}
				*all = append(*all, exception)
			}
		},
		func() *yaml.Node {
			dates := &yaml.Node{Kind: yaml.MappingNode}
			for _, e := range *all {
				value := textNode("closed")
				if len(e.Hours) > 0 {
					value = intervalsNode(e.Hours)
				}
				dates.Content = append(dates.Content, quoted(e.Date.String()), value)
			}
			return dates
		},
	}
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

func intervalsNode(intervals []booking.Interval) *yaml.Node {
	list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, i := range intervals {
		list.Content = append(list.Content, quoted(i.String()))
	}
	return list
}

func currency(code *string) kind {
	k := text(code)
	return kind{
		func(r *reader, n *yaml.Node, path string) {
			k.read(r, n, path)
			*code = strings.ToLower(*code)
		},
		func() *yaml.Node { return textNode(strings.ToUpper(*code)) },
	}
}
