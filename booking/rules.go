package booking

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// rules are a resource as it was read from the database, with its zone at hand. They are never changed, and may be
// shared.
type rules struct {
	Resource
	// version changes with every change of the resource; what is sold by these rules names it.
	version string
	zone    *time.Location
	// weekly are the opening hours of each weekday.
	weekly [7][]opening
	// clock is when the database was read, by its own clock.
	clock time.Time
}

// opening is an interval in seconds after local midnight. One around the clock does not end with its day.
type opening struct {
	opens, closes  int64
	aroundTheClock bool
}

func newRules(r Resource, version string, clock time.Time) (*rules, error) {
	zone, err := loadZone(r.TimeZone)
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
		out.weekly[h.Weekday] = append(out.weekly[h.Weekday], opening{opens: int64(h.Opens) * 60, closes: int64(h.Closes) * 60})
	}
	for _, openings := range out.weekly {
		slices.SortFunc(openings, func(a, b opening) int { return cmp.Compare(a.opens, b.opens) })
	}
	return out, nil
}

// blocked is the range of time a slot keeps its units for: the slot with the buffers around it.
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

// timing says whether a start is within notice and horizon at an instant of the database's clock.
func (r *rules) timing(start, clock time.Time) string {
	switch {
	case start.Before(clock.Add(r.Notice)):
		return tooSoon
	case start.After(clock.Add(r.Horizon)):
		return tooFar
	}
	return ""
}
