package booking

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// FieldChange is one field that [Store.ApplyResource] changes, in words for people.
type FieldChange struct {
	// Field is named as in [ValidationError], with a part where it has parts: "price",
	// "policy.freeUntil", "hours.mon", "exceptions.2026-12-25", "offers.long.price";
	// "offers" alone is their order.
	Field string
	// From and To are the values before and after: "25.00 EUR", "1h30m", "9:00-12:30,
	// 14:00-18:00". One of them is empty where there is no value.
	From, To string
}

// fieldChanges lists how two resources with defaults filled in differ, in the order of
// the fields.
func fieldChanges(from, to Resource) []FieldChange {
	was, is := from.fields(), to.fields()
	old, seen := map[string]string{}, map[string]bool{}
	for _, f := range was {
		old[f.name] = f.value
	}
	var out []FieldChange
	for _, f := range is {
		seen[f.name] = true
		if old[f.name] != f.value {
			out = append(out, FieldChange{Field: f.name, From: old[f.name], To: f.value})
		}
	}
	for _, f := range was {
		if !seen[f.name] && f.value != "" {
			out = append(out, FieldChange{Field: f.name, From: f.value})
		}
	}
	return out
}

// field is a part of a resource as text; two resources with the same fields are the same.
type field struct{ name, value string }

func (r Resource) fields() []field {
	out := []field{
		{"name", r.Name}, {"description", r.Description}, {"timeZone", r.TimeZone},
		{"capacity", strconv.Itoa(r.Capacity)},
		{"slotLength", durationWords(r.SlotLength)}, {"slotStep", durationWords(r.SlotStep)},
		{"bufferBefore", durationWords(r.BufferBefore)}, {"bufferAfter", durationWords(r.BufferAfter)},
		{"notice", durationWords(r.Notice)}, {"horizon", durationWords(r.Horizon)},
		{"holdFor", durationWords(r.HoldFor)}, {"holdCap", durationWords(r.HoldCap)}, {"price", r.Price.String()},
		{"policy.never", yesNo(r.Policy.Never)}, {"policy.freeUntil", durationWords(r.Policy.FreeUntil)},
		{"policy.closedFrom", durationWords(r.Policy.ClosedFrom)},
		{"policy.feePercent", strconv.Itoa(r.Policy.FeePercent) + "%"},
		{"policy.fee", Money{Minor: r.Policy.FeeMinor, Currency: r.Price.Currency}.String()},
		{"active", yesNo(r.Active)},
	}
	for n := range 7 {
		// Monday first, as calendars in most countries do.
		weekday := time.Weekday((n + 1) % 7)
		out = append(out, field{"hours." + strings.ToLower(weekday.String()[:3]), r.openOn(weekday)})
	}
	for _, e := range slices.SortedFunc(slices.Values(r.Exceptions),
		func(a, b Exception) int { return cmp.Compare(a.Date.midnight(), b.Date.midnight()) }) {
		out = append(out, field{"exceptions." + e.Date.String(), openWords(e.Hours, "closed")})
	}
	var order []string
	for _, o := range r.Offers {
		order = append(order, o.Slug)
		of := func(name, value string) { out = append(out, field{"offers." + o.Slug + "." + name, value}) }
		of("name", o.Name)
		of("slotLength", durationWords(o.SlotLength))
		of("slotStep", durationWords(o.SlotStep))
		of("bufferBefore", durationWords(o.BufferBefore))
		of("bufferAfter", durationWords(o.BufferAfter))
		of("price", o.Price.String())
		of("active", yesNo(!o.Inactive))
	}
	return append(out, field{"offers", strings.Join(order, ", ")})
}

// openOn are the opening hours of a weekday.
func (r Resource) openOn(weekday time.Weekday) string {
	if len(r.Hours) == 0 {
		return "around the clock"
	}
	var hours []Interval
	for _, h := range r.Hours {
		if h.Weekday == weekday {
			hours = append(hours, Interval{Opens: h.Opens, Closes: h.Closes})
		}
	}
	return openWords(hours, "closed")
}

func openWords(hours []Interval, none string) string {
	if len(hours) == 0 {
		return none
	}
	var out []string
	for _, h := range slices.SortedFunc(slices.Values(hours),
		func(a, b Interval) int { return cmp.Compare(a.Opens, b.Opens) }) {
		out = append(out, fmt.Sprint(h))
	}
	return strings.Join(out, ", ")
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}
