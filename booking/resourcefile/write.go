package resourcefile

import (
	"fmt"
	"io"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/booking-platform/booking-platform/booking"
)

// Write writes resources as YAML: one as itself, several as a list. Read gives them back,
// less their ids and times.
func Write(w io.Writer, resources ...booking.Resource) error {
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	list := make([]*yaml.Node, 0, len(resources))
	for _, r := range resources {
		list = append(list, resourceNode(r))
	}
	var err error
	if len(list) == 1 {
		err = enc.Encode(list[0])
	} else {
		err = enc.Encode(&yaml.Node{Kind: yaml.SequenceNode, Content: list})
	}
	if err != nil {
		return fmt.Errorf("write resources: %w", err)
	}
	return enc.Close()
}

// object is a mapping that keeps the order in which it is written.
type object struct{ node *yaml.Node }

func newObject() object { return object{&yaml.Node{Kind: yaml.MappingNode}} }

func (o object) add(key string, value *yaml.Node) {
	o.node.Content = append(o.node.Content, text(key), value)
}

// text is in quotes wherever plain text would be read as something else.
func text(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	if strings.ContainsAny(s, "\r\t\u0085\u2028\u2029\ufeff") || strings.HasPrefix(s, "\n") ||
		strings.HasPrefix(s, " ") {
		// A block of lines would not keep these.
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

func plain(tag string, value any) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: fmt.Sprint(value)}
}

func texts(all []string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, s := range all {
		item := text(s)
		item.Style = yaml.DoubleQuotedStyle
		n.Content = append(n.Content, item)
	}
	return n
}

func (o object) duration(key string, d time.Duration) { o.add(key, text(formatDuration(d))) }

// some writes a duration only where there is one.
func (o object) some(key string, d time.Duration) {
	if d > 0 {
		o.duration(key, d)
	}
}

func (o object) money(key string, m booking.Money) {
	n := text(m.Decimal())
	n.Style = yaml.DoubleQuotedStyle
	o.add(key, n)
}

func resourceNode(r booking.Resource) *yaml.Node {
	o := newObject()
	o.add("slug", text(r.Slug))
	o.add("name", text(r.Name))
	if r.Description != "" {
		o.add("description", text(r.Description))
	}
	o.add("timeZone", text(r.TimeZone))
	o.add("capacity", plain("!!int", r.Capacity))
	o.duration("slotLength", r.SlotLength)
	o.duration("slotStep", r.SlotStep)
	o.some("bufferBefore", r.BufferBefore)
	o.some("bufferAfter", r.BufferAfter)
	o.some("notice", r.Notice)
	o.duration("horizon", r.Horizon)
	o.duration("holdFor", r.HoldFor)
	o.duration("holdCap", r.HoldCap)
	o.add("currency", text(strings.ToUpper(r.Price.Currency)))
	o.money("price", r.Price)
	if r.Policy != (booking.Policy{}) {
		o.add("policy", policyNode(r))
	}
	o.add("active", plain("!!bool", r.Active))
	if len(r.Hours) > 0 {
		o.add("hours", hoursNode(r.Hours))
	}
	if len(r.Exceptions) > 0 {
		dates := newObject()
		for _, e := range r.Exceptions {
			key := text(e.Date.String())
			key.Style = yaml.DoubleQuotedStyle
			value := text("closed")
			if len(e.Hours) > 0 {
				value = intervalsNode(e.Hours)
			}
			dates.node.Content = append(dates.node.Content, key, value)
		}
		o.add("exceptions", dates.node)
	}
	if len(r.Offers) > 0 {
		offers := &yaml.Node{Kind: yaml.SequenceNode}
		for _, offer := range r.Offers {
			offers.Content = append(offers.Content, offerNode(offer))
		}
		o.add("offers", offers)
	}
	return o.node
}

func policyNode(r booking.Resource) *yaml.Node {
	p, o := r.Policy, newObject()
	if p.Never {
		o.add("never", plain("!!bool", true))
	}
	o.some("freeUntil", p.FreeUntil)
	o.some("closedFrom", p.ClosedFrom)
	if p.FeePercent > 0 {
		o.add("feePercent", plain("!!int", p.FeePercent))
	}
	if p.FeeMinor > 0 {
		o.money("fee", booking.Money{Minor: p.FeeMinor, Currency: r.Price.Currency})
	}
	return o.node
}

func offerNode(offer booking.Offer) *yaml.Node {
	o := newObject()
	o.add("slug", text(offer.Slug))
	o.add("name", text(offer.Name))
	o.duration("slotLength", offer.SlotLength)
	o.duration("slotStep", offer.SlotStep)
	o.some("bufferBefore", offer.BufferBefore)
	o.some("bufferAfter", offer.BufferAfter)
	o.money("price", offer.Price)
	if offer.Inactive {
		o.add("active", plain("!!bool", false))
	}
	return o.node
}

func hoursNode(hours []booking.Hours) *yaml.Node {
	o := newObject()
	for i, name := range weekdays {
		var day []booking.Interval
		for _, h := range hours {
			if h.Weekday == time.Weekday((i+1)%7) {
				day = append(day, booking.Interval{Opens: h.Opens, Closes: h.Closes})
			}
		}
		if len(day) > 0 {
			o.add(name, intervalsNode(day))
		}
	}
	return o.node
}

func intervalsNode(hours []booking.Interval) *yaml.Node {
	var all []string
	for _, h := range hours {
		all = append(all, h.String())
	}
	return texts(all)
}
