package booking

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// rules are a resource as it was read from the database, with its zone at hand. They are
// never changed, and may be shared.
type rules struct {
	Resource
	// version changes with every change of the resource; what is sold by these rules
	// names it.
	version string
	zone    *time.Location
	// weekly are the opening hours of each weekday, and dated those of the dates that
	// have others, by their midnight.
	weekly [7][]opening
	dated  map[int64][]opening
	// datedDays are the midnights of those dates, in order.
	datedDays []int64
	// offers are the same rules with the slot of each active offer in place of the
	// resource's own.
	offers map[string]*rules
	// clock is when the database was read, by its own clock.
	clock time.Time
}

// opening is an interval in seconds after local midnight. One around the clock does not
// end with its day.
type opening struct {
	opens, closes  int64
	aroundTheClock bool
}

func newRules(r Resource, version string, clock time.Time) (*rules, error) {
	zone, err := r.Zone()
	if err != nil {
		return nil, err
	}
	out := &rules{Resource: r, version: version, zone: zone, clock: clock}
	for weekday := range out.weekly {
		if len(r.Hours) == 0 {
			out.weekly[weekday] = []opening{{closes: 86400, aroundTheClock: true}}
		}
	}
	for _, h := range r.Hours {
		out.weekly[h.Weekday] = append(out.weekly[h.Weekday],
			opening{opens: int64(h.Opens) * 60, closes: int64(h.Closes) * 60})
	}
	byOpens := func(a, b opening) int { return cmp.Compare(a.opens, b.opens) }
	for _, openings := range out.weekly {
		slices.SortFunc(openings, byOpens)
	}
	for _, e := range r.Exceptions {
		openings := []opening{}
		for _, h := range e.Hours {
			openings = append(openings, opening{opens: int64(h.Opens) * 60, closes: int64(h.Closes) * 60})
		}
		slices.SortFunc(openings, byOpens)
		if out.dated == nil {
			out.dated = map[int64][]opening{}
		}
		out.dated[e.Date.midnight()] = openings
		out.datedDays = append(out.datedDays, e.Date.midnight())
	}
	slices.Sort(out.datedDays)
	out.addOffers()
	return out, nil
}

func (r *rules) addOffers() {
	for _, o := range r.Offers {
		if o.Inactive {
			continue
		}
		sold := *r
		sold.SlotLength, sold.SlotStep, sold.BufferBefore, sold.BufferAfter = o.SlotLength, o.SlotStep, o.BufferBefore,
			o.BufferAfter
		sold.Price, sold.offers = o.Price, nil
		if r.offers == nil {
			r.offers = map[string]*rules{}
		}
		r.offers[o.Slug] = &sold
	}
}

// as returns the rules of an offer; those of the resource's own slot for "".
func (r *rules) as(offer string) (*rules, bool) {
	if offer == "" {
		return r, true
	}
	sold, ok := r.offers[offer]
	return sold, ok
}

// openings are the intervals that begin on the day whose midnight this is, by the wall
// clock.
func (r *rules) openings(midnight int64) []opening {
	if dated, ok := r.dated[midnight]; ok {
		return dated
	}
	// Day 0 of Unix time was a Thursday.
	weekday := (floorDiv(midnight, 86400)%7 + 7 + int64(time.Thursday)) % 7
	return r.weekly[weekday]
}

// blocked is the range of time a slot keeps its units for: the slot with the buffers
// around it.
func (r *rules) blocked(start time.Time) (from, to time.Time) {
	return start.Add(-r.BufferBefore), start.Add(r.SlotLength + r.BufferAfter)
}

// check returns what is wrong with a request under these rules, whenever it is made.
func (r *rules) check(req HoldRequest) problems {
	p := problems{}
	if !r.Active {
		p.add("resource", "cannot be booked")
	}
	if req.Party > r.Capacity {
		p.add("party", fmt.Sprintf("must be between 1 and %d", r.Capacity))
	} else if _, ok := r.Price.times(max(req.Party, 1)); !ok {
		p.add("party", "makes the amount too large")
	}
	if instantProblem(req.Start) == "" && !r.isStart(req.Start) {
		p.add("start", "is not the start of a slot")
	}
	return p
}

const (
	tooSoon = "is too soon, or has passed"
	tooFar  = "is too far ahead"
)

// timing says whether a start is within notice and horizon at an instant of the
// database's clock.
func (r *rules) timing(start, clock time.Time) string {
	switch {
	case start.Before(clock.Add(r.Notice)):
		return tooSoon
	case start.After(clock.Add(r.Horizon)):
		return tooFar
	}
	return ""
}
