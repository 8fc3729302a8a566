package booking

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/internal/valid"
)

// Resource is something whose time is sold: a room, a court, a tour. Its rules decide
// which slots exist; what is sold keeps the price and the times it was sold at.
//
// The column booking_platform.resources.id may be referenced by foreign keys.
type Resource struct {
	// ID is a UUIDv7 in canonical text, made by the store.
	ID string
	// Slug names the resource in links: 1 to 63 of a-z, 0-9 and hyphens, beginning with
	// no hyphen, unique, and not of the form of an ID.
	Slug string
	// Name is required, at most 200 characters.
	Name string
	// Description is at most 10,000 characters; lines may be broken.
	Description string
	// TimeZone is an IANA name such as "Europe/Paris". Opening hours are wall-clock times
	// in it.
	TimeZone string
	// Capacity is how many heads a slot takes, 1 to 10,000; 0 stands for 1.
	Capacity int
	// SlotLength is how long a booking lasts, in real time: from a minute to 31 days, in
	// whole seconds. It is required.
	SlotLength time.Duration
	// SlotStep is how far apart slots begin by the wall clock, counted from each opening:
	// from a minute to 24 hours; 0 stands for SlotLength, or for 24 hours where that is
	// longer. Shorter than SlotLength, slots overlap, and selling one takes the others
	// away.
	SlotStep time.Duration
	// BufferBefore and BufferAfter keep the units empty around a booking, to clean a
	// room, say: up to 7 days each.
	BufferBefore, BufferAfter time.Duration
	// Notice is how long before its start a slot can be taken at the latest; 0 until it
	// begins. Up to 365 days.
	Notice time.Duration
	// Horizon is how far ahead a slot can be taken, up to 10 years of 365 days; 0 stands
	// for 365 days.
	Horizon time.Duration
	// HoldFor is how long a hold lasts, from a second to 30 days; 0 stands for 35
	// minutes. Whatever it says, a hold ends when its slot begins. A Checkout Session of
	// Stripe's lives at least 30 minutes, counted when Stripe gets the call: a hold that
	// outlasts it makes no late payments.
	HoldFor time.Duration
	// HoldCap is how long a hold lasts at most, counted from when it was made, however
	// often it is extended: at least HoldFor and at most 90 days; 0 stands for 14 days,
	// which the slowest bank debits take, or for HoldFor where that is longer.
	HoldCap time.Duration
	// Price is per head: a booking costs Price times its party. The currency is required
	// even where the amount is 0.
	Price Money
	// Policy is what customers may cancel and move, and what it costs them.
	Policy Policy
	// Active tells whether the resource can be booked. [Store.CreateResource] makes
	// active ones, whatever it is given here; [Store.ApplyResource] does what it says.
	Active bool
	// Hours are the opening hours; none at all is open around the clock, where slots are
	// counted from each local midnight.
	Hours []Hours
	// Exceptions are dates with other hours than those of their weekday, each at most
	// once; at most 1000.
	Exceptions []Exception
	// Offers are other lengths, prices or grids in which the same units are sold, in the
	// order they are shown; at most 100. The resource's own slot can be booked besides.
	Offers []Offer
	// CreatedAt and UpdatedAt are set by the store, in UTC. A change of the hours counts
	// as one of the resource.
	CreatedAt, UpdatedAt time.Time
}

// Hours is an interval in which the resource is open, every week. Slots are counted from
// Opens, and each ends, by the wall clock, no later than Closes; where clocks go back and
// show Closes twice, no slot lasts beyond the first and into the hour that comes again.
// Intervals must not overlap.
type Hours struct {
	// Weekday is the day on which the interval begins.
	Weekday time.Weekday
	// Opens and Closes are minutes after local midnight by the wall clock: 540 is 9:00.
	// Opens is below 1440; Closes may pass 1440 (1560 is 2:00 of the next day), at most
	// 24 hours after Opens.
	Opens, Closes int
}

// Interval is a stretch of opening hours, in minutes after local midnight by the wall
// clock, as in [Hours].
type Interval struct {
	Opens, Closes int
}

// Exception replaces the intervals that begin on one date, whatever its weekday has. What
// was open the day before and goes on past midnight is the day before's. Intervals must
// not overlap each other, nor run into those of the date after where that is an exception
// too; beside what the weekdays have, overlapping is allowed, and offers each slot once.
type Exception struct {
	// Date is a day in the resource's zone.
	Date Date
	// Hours are the intervals of that day; none at all is closed.
	Hours []Interval
}

// Offer is another way to sell a resource's time: another length, price or grid. What is
// sold through one takes the units away from all, because they are the same.
type Offer struct {
	// Slug names the offer in requests, unique among the resource's: as a resource's
	// slug.
	Slug string
	// Name is required, at most 200 characters.
	Name string
	// SlotLength and SlotStep are as a resource's; 0 stands for the resource's
	// SlotLength, and for a step as long as the offer's slot, or 24 hours where that is
	// longer.
	SlotLength, SlotStep time.Duration
	// BufferBefore and BufferAfter are as a resource's; 0 is no buffer, whatever the
	// resource has.
	BufferBefore, BufferAfter time.Duration
	// Price is per head, in the resource's currency; an empty currency stands for that.
	// An amount of 0 is free of charge, whatever the resource's own slot costs.
	Price Money
	// Inactive takes the offer out of sale.
	Inactive bool
}

// The defaults of a resource's zero values.
const (
	defaultHorizon = 365 * 24 * time.Hour
	defaultHoldFor = 35 * time.Minute
	defaultHoldCap = 14 * 24 * time.Hour
)

// withDefaults fills in what was left out. What remains zero is checked by problems.
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
	if o.Price.Currency == "" {
		o.Price.Currency = r.Price.Currency
	}
	o.Price.Currency = strings.ToLower(o.Price.Currency)
	return o
}

const day = 24 * time.Hour

const badSlug = "must be 1 to 63 of a-z, 0-9 and hyphens, not begin with a hyphen, and not look like an id"

// Validate tells what [Store.CreateResource] would refuse about a resource, without
// asking a database: nil, or a [*ValidationError] that names every field that is wrong.
// What was left out is taken as its default.
func (r Resource) Validate() error { return r.withDefaults().check().err() }

// check returns everything that is wrong with a resource whose defaults are filled in.
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

// hoursProblem checks each interval, and that none overlaps another one, round the end of
// the week too.
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
			// How far the other one begins after this one, going forward round the week.
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

// exceptionsProblem checks each date and its intervals, and those of one date against the
// next one's.
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

// offersProblem checks the offers of a resource whose defaults are filled in, and names
// everything that is wrong with any of them.
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

// check returns what is wrong with an offer of r.
func (o Offer) check(r Resource) problems {
	p := problems{}
	p.add("name", valid.Required(o.Name, 200))
	p.add("slot length", durationProblem(o.SlotLength, time.Minute, 31*day))
	p.add("slot step", durationProblem(o.SlotStep, time.Minute, day))
	p.add("buffer before", durationProblem(o.BufferBefore, 0, 7*day))
	p.add("buffer after", durationProblem(o.BufferAfter, 0, 7*day))
	p.add("price", priceProblem(o.Price, r.Capacity))
	if o.Price.Currency != r.Price.Currency {
		p.add("currency", "is not the resource's")
	}
	return p
}
