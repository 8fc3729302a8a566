package booking

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/internal/valid"
)

// Resource is something whose time is sold: a court, a studio, a tour. Its rules decide
// which slots exist. Bookings keep the price and the times they were sold at.
//
// The column booking_platform.resources.id may be referenced by foreign keys.
type Resource struct {
	// ID is a UUIDv7 in canonical form, made by the store.
	ID string
	// Slug names the resource in links: 1 to 63 of a-z, 0-9 and hyphens, not starting
	// with a hyphen, unique, and not in the form of an ID.
	Slug string
	// Name is required; at most 200 characters.
	Name string
	// Description has at most 10,000 characters and may have several lines.
	Description string
	// TimeZone is an IANA name such as "Europe/Paris". Opening hours are wall-clock times
	// in it.
	TimeZone string
	// Capacity is how many people a slot takes, 1 to 10,000; 0 means 1.
	Capacity int
	// SlotLength is the length of a booking in real time: required, from a minute to 31
	// days, in whole seconds.
	SlotLength time.Duration
	// SlotStep is the distance between starts by the wall clock, counted from each
	// opening: from a minute to 24 hours; 0 means SlotLength, at most 24 hours. If it is
	// shorter than SlotLength, slots overlap, and selling one makes the others
	// unavailable.
	SlotStep time.Duration
	// BufferBefore and BufferAfter keep the units empty around a booking, for example for
	// cleaning; at most 7 days each.
	BufferBefore, BufferAfter time.Duration
	// Notice is the least time between a hold and its start; at most 365 days.
	Notice time.Duration
	// Horizon is how far ahead a slot can be booked, at most 3650 days; 0 means 365.
	Horizon time.Duration
	// HoldFor is how long a hold lasts, from a second to 30 days; 0 means 35 minutes. A
	// hold ends at its start at the latest. It should outlast a Checkout Session of
	// Stripe's, which lives at least 30 minutes, to prevent late payments.
	HoldFor time.Duration
	// HoldCap bounds the life of a hold with extensions: at least HoldFor, at most 90
	// days. 0 means 14 days, which the slowest bank debits take, or HoldFor if longer.
	HoldCap time.Duration
	// Price is per person. The currency is required even if the amount is 0.
	Price Money
	// Policy is what customers may cancel and move, and at what fee.
	Policy Policy
	// Inactive resources cannot be booked. Their bookings stay.
	Inactive bool
	// Hours are the opening hours; none means around the clock, with slots counted from
	// each local midnight.
	Hours []Hours
	// Exceptions are dates with other hours than their weekday, each at most once; at
	// most 1000.
	Exceptions []Exception
	// Offers are other lengths, prices or grids in which the same units are sold besides
	// the resource's own slot, in display order; at most 100.
	Offers []Offer
	// CreatedAt and UpdatedAt are set by the store, in UTC.
	CreatedAt, UpdatedAt time.Time
}

// Hours is an interval in which the resource is open every week. Slots are counted from
// Opens and end by Closes, by the wall clock; if Closes occurs twice, because clocks are
// set back, by the first. Intervals must not overlap.
type Hours struct {
	Weekday time.Weekday
	// Opens and Closes are minutes after local midnight: 540 is 9:00. Opens is below
	// 1440. Closes is at most 24 hours later and may exceed 1440: 1560 is 2:00 of the
	// next day.
	Opens, Closes int
}

// Interval is an interval of opening hours, in minutes as in [Hours].
type Interval struct {
	Opens, Closes int
}

// Exception replaces the intervals that begin on a date. An interval of the day before
// that extends beyond midnight stays. Intervals of exceptions must not overlap each
// other, on consecutive dates either; where they overlap those of a weekday, each slot
// exists once.
type Exception struct {
	Date Date
	// Hours are the intervals of the date; none means closed.
	Hours []Interval
}

// Offer is another length, price or grid in which a resource's units are sold.
type Offer struct {
	// Slug names the offer in requests; as a resource's, but unique among its offers.
	Slug string
	// Name is required; at most 200 characters.
	Name string
	// SlotLength and SlotStep are as a resource's; 0 means the resource's SlotLength, and
	// a step of the offer's length, at most 24 hours.
	SlotLength, SlotStep time.Duration
	// BufferBefore and BufferAfter are as a resource's; 0 means none.
	BufferBefore, BufferAfter time.Duration
	// Price is per person, in the resource's currency; an empty currency means that. The
	// zero Money is refused, so that no offer is free because its price was forgotten: an
	// offer that is free has an amount of 0 and a currency.
	Price Money
	// Inactive offers cannot be booked.
	Inactive bool
}

// The defaults of a resource's zero values.
const (
	defaultHorizon = 365 * 24 * time.Hour
	defaultHoldFor = 35 * time.Minute
	defaultHoldCap = 14 * 24 * time.Hour
)

func (r Resource) withDefaults() Resource {
	if r.Capacity == 0 {
		r.Capacity = 1
	}
	if r.SlotStep == 0 {
		r.SlotStep = min(r.SlotLength, 24*time.Hour)
	}
	if r.Horizon == 0 {
		r.Horizon = defaultHorizon
	}
	if r.HoldFor == 0 {
		r.HoldFor = defaultHoldFor
	}
	if r.HoldCap == 0 {
		r.HoldCap = max(defaultHoldCap, r.HoldFor)
	}
	r.Price.Currency = strings.ToLower(r.Price.Currency)
	r.Offers = slices.Clone(r.Offers)
	for i, o := range r.Offers {
		r.Offers[i] = o.withDefaults(r)
	}
	return r
}

func (o Offer) withDefaults(r Resource) Offer {
	if o.SlotLength == 0 {
		o.SlotLength = r.SlotLength
	}
	if o.SlotStep == 0 {
		o.SlotStep = min(o.SlotLength, 24*time.Hour)
	}
	if o.Price.Currency == "" && o.Price.Minor != 0 {
		o.Price.Currency = r.Price.Currency
	}
	o.Price.Currency = strings.ToLower(o.Price.Currency)
	return o
}

const day = 24 * time.Hour

const badSlug = "must be 1 to 63 of a-z, 0-9 and hyphens, not begin with a hyphen, and not look like an id"

// Validate returns the [*ValidationError] of [Store.CreateResource], or nil, without a
// database. Defaults are applied first.
func (r Resource) Validate() error { return r.withDefaults().check().err() }

func (r Resource) check() problems {
	p := problems{}
	if !isSlug(r.Slug) {
		p.add("slug", badSlug)
	}
	p.add("name", valid.Required(r.Name, 200))
	p.add("description", valid.Text(r.Description, 10000, "\n\r\t"))
	if _, err := r.Zone(); err != nil {
		p.add("timeZone", "is not an IANA time zone that this system knows, such as Europe/Paris")
	}
	if r.Capacity < 1 || r.Capacity > 10000 {
		p.add("capacity", "must be between 1 and 10000")
	}
	p.add("slotLength", durationProblem(r.SlotLength, time.Minute, 31*day))
	p.add("slotStep", durationProblem(r.SlotStep, time.Minute, day))
	p.add("bufferBefore", durationProblem(r.BufferBefore, 0, 7*day))
	p.add("bufferAfter", durationProblem(r.BufferAfter, 0, 7*day))
	p.add("notice", durationProblem(r.Notice, 0, 365*day))
	p.add("horizon", durationProblem(r.Horizon, time.Second, 3650*day))
	p.add("holdFor", durationProblem(r.HoldFor, time.Second, 30*day))
	p.add("holdCap", durationProblem(r.HoldCap, max(time.Second, r.HoldFor), 90*day))
	p.add("policy", r.Policy.problem())
	p.add("policy", feeProblem(r.Policy.FeeMinor, r.Price.Currency))
	p.add("price", priceProblem(r.Price, r.Capacity))
	p.add("currency", currencyProblem(r.Price.Currency))
	p.add("hours", hoursProblem(r.Hours))
	p.add("exceptions", exceptionsProblem(r.Exceptions))
	p.add("offers", r.offersProblem())
	return p
}

func notLetter(c rune) bool { return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') }

func durationProblem(d, least, most time.Duration) string {
	switch {
	case d < least || d > most:
		return fmt.Sprintf("must be between %s and %s", formatDuration(least), formatDuration(most))
	case d%time.Second != 0:
		return "must be whole seconds"
	}
	return ""
}

// hoursProblem also refuses overlapping intervals, round the end of the week too.
func hoursProblem(hours []Hours) string {
	if len(hours) > 7*24 {
		return "are more than 168 intervals"
	}
	const week = 7 * 1440
	for i, h := range hours {
		switch {
		case h.Weekday < time.Sunday || h.Weekday > time.Saturday:
			return "name a weekday that does not exist"
		case h.Opens < 0 || h.Opens >= 1440:
			return "open before 0:00 or after 23:59"
		case h.Closes <= h.Opens || h.Closes-h.Opens > 1440:
			return "close before they open, or more than 24 hours later"
		}
		for _, other := range hours[:i] {
			// How far the other one begins after this one, round the week.
			ahead := (int(other.Weekday-h.Weekday)*1440 + other.Opens - h.Opens + week) % week
			if ahead < h.Closes-h.Opens || week-ahead < other.Closes-other.Opens {
				return "overlap"
			}
		}
	}
	return ""
}

const (
	maxExceptions = 1000
	maxOffers     = 100
)

// exceptionsProblem also refuses overlapping intervals, of consecutive dates too.
func exceptionsProblem(exceptions []Exception) string {
	if len(exceptions) > maxExceptions {
		return fmt.Sprintf("are more than %d dates", maxExceptions)
	}
	byDate := map[Date][]Interval{}
	for _, e := range exceptions {
		if !e.Date.exists() {
			return "name a date that does not exist, or is not between the years 1970 and 9998"
		}
		if _, twice := byDate[e.Date]; twice {
			return "name " + e.Date.String() + " twice"
		}
		byDate[e.Date] = e.Hours
		if len(e.Hours) > 24 {
			return "have more than 24 intervals on " + e.Date.String()
		}
		for _, h := range e.Hours {
			if problem := intervalProblem(h); problem != "" {
				return problem + " on " + e.Date.String()
			}
		}
	}
	for _, e := range exceptions {
		next := e.Date.AddDays(1)
		all := slices.Clone(e.Hours)
		for _, h := range byDate[next] {
			all = append(all, Interval{Opens: h.Opens + 1440, Closes: h.Closes + 1440})
		}
		for i, h := range all {
			for _, other := range all[:i] {
				if h.Opens < other.Closes && other.Opens < h.Closes {
					return "overlap on " + e.Date.String()
				}
			}
		}
	}
	return ""
}

func intervalProblem(h Interval) string {
	switch {
	case h.Opens < 0 || h.Opens >= 1440:
		return "open before 0:00 or after 23:59"
	case h.Closes <= h.Opens || h.Closes-h.Opens > 1440:
		return "close before they open, or more than 24 hours later"
	}
	return ""
}

// offersProblem returns all problems of the offers of a resource with defaults.
func (r Resource) offersProblem() string {
	if len(r.Offers) > maxOffers {
		return fmt.Sprintf("are more than %d", maxOffers)
	}
	var found []string
	seen := map[string]bool{}
	for n, o := range r.Offers {
		if !isSlug(o.Slug) {
			found = append(found, fmt.Sprintf("number %d: slug %s", n+1, badSlug))
			continue
		}
		if seen[o.Slug] {
			found = append(found, o.Slug+": is there twice")
			continue
		}
		seen[o.Slug] = true
		p := o.check(r)
		for _, field := range slices.Sorted(maps.Keys(p)) {
			found = append(found, fmt.Sprintf("%s: %s %s", o.Slug, field, p[field]))
		}
	}
	return strings.Join(found, ", ")
}

func (o Offer) check(r Resource) problems {
	p := problems{}
	p.add("name", valid.Required(o.Name, 200))
	p.add("slot length", durationProblem(o.SlotLength, time.Minute, 31*day))
	p.add("slot step", durationProblem(o.SlotStep, time.Minute, day))
	p.add("buffer before", durationProblem(o.BufferBefore, 0, 7*day))
	p.add("buffer after", durationProblem(o.BufferAfter, 0, 7*day))
	if o.Price == (Money{}) && r.Price.Currency != "" {
		p.add("price", "is required; a free offer has an amount of 0 and a currency")
		return p
	}
	p.add("price", priceProblem(o.Price, r.Capacity))
	if o.Price.Currency != r.Price.Currency {
		p.add("currency", "is not the resource's")
	}
	return p
}
