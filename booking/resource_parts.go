package booking

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/internal/valid"
)

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
