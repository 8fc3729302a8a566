package booking

import (
	"fmt"
	"time"

	"github.com/booking-platform/booking-platform/internal/valid"
)

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
		return fmt.Sprintf("must be between %s and %s", durationWords(least), durationWords(most))
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
