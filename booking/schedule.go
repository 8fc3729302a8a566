package booking

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"
)

// rules are a resource as read, with its zone loaded, immutable and shared.
type rules struct {
	Resource
	// version changes with the resource; statements that sell check it.
	version string
	zone    *time.Location
	// weekly are the weekdays' opening hours, dated those of exceptions, by midnight.
	weekly    [7][]opening
	dated     map[int64][]opening
	datedDays []int64
	// offers are the active ones' rules.
	offers map[string]*rules
	// clock is the database's when they were read.
	clock time.Time
}

// opening is in seconds after local midnight. One around the clock continues on the next
// day.
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

// forOffer knows active offers; "" is the resource's own slot.
func (r *rules) forOffer(offer string) (*rules, bool) {
	if offer == "" {
		return r, true
	}
	sold, ok := r.offers[offer]
	return sold, ok
}

// openings begin on the day with this midnight.
func (r *rules) openings(midnight int64) []opening {
	if dated, ok := r.dated[midnight]; ok {
		return dated
	}
	// Day 0 of Unix time was a Thursday.
	weekday := (floorDiv(midnight, 86400)%7 + 7 + int64(time.Thursday)) % 7
	return r.weekly[weekday]
}

// blocked is the slot with its buffers.
func (r *rules) blocked(start time.Time) (from, to time.Time) {
	return start.Add(-r.BufferBefore), start.Add(r.SlotLength + r.BufferAfter)
}

// check does not depend on the time.
func (r *rules) check(req HoldRequest) problems {
	p := problems{}
	if r.Inactive {
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

func (r *rules) timing(start, clock time.Time) string {
	switch {
	case start.Before(clock.Add(r.Notice)):
		return tooSoon
	case start.After(clock.Add(r.Horizon)):
		return tooFar
	}
	return ""
}

// A slot begins when the wall clock of the resource's zone shows the opening time plus a
// multiple of the step. When clocks change, a skipped time begins no slot, one that
// occurs twice begins two, and the others do not move. Lengths are real time.

// starts yields those in [from, to) in UTC, in order, by opening hours alone.
func (r *rules) starts(from, to time.Time) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		for start := range r.startSeconds(from, to) {
			if !yield(time.Unix(start, 0).UTC()) {
				return
			}
		}
	}
}

func (r *rules) isStart(t time.Time) bool {
	for start := range r.starts(t, t.Add(1)) {
		return start.Equal(t)
	}
	return false
}

func (r *rules) startSeconds(from, to time.Time) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		// Between two clock changes, wall clock and real time differ by a constant
		// offset.
		for begin := from; begin.Before(to); {
			local := begin.In(r.zone)
			_, end := local.ZoneBounds()
			_, zoneOffset := local.Zone()
			offset, change := int64(zoneOffset), int64(math.MaxInt64)
			if !end.IsZero() {
				change = wallClock(end, offset)
			}
			if end.IsZero() || end.After(to) {
				end = to
			}
			for wall := range r.wallStarts(wallClock(begin, offset), wallClock(end, offset), change, offset) {
				if !yield(wall - offset) {
					return
				}
			}
			begin = end
		}
	}
}

// wallStarts is in wall-clock seconds as if the zone were UTC. The next clock change is
// when they show change.
func (r *rules) wallStarts(from, to, change, offset int64) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for midnight := floorDiv(from, daySeconds) * daySeconds; midnight < to; midnight += daySeconds {
			begin, end := max(from, midnight), min(to, midnight+daySeconds)
			// Openings of the day before may extend beyond midnight.
			yesterday, today := r.openings(midnight-daySeconds), r.openings(midnight)
			if mixed(yesterday, today) {
				for _, start := range r.sortedStarts(begin, end, midnight, change, offset) {
					if !yield(start) {
						return
					}
				}
				continue
			}
			for _, o := range yesterday {
				if !r.openingStarts(o, midnight-daySeconds, begin, end, change, offset, yield) {
					return
				}
			}
			for _, o := range today {
				if !r.openingStarts(o, midnight, begin, end, change, offset, yield) {
					return
				}
			}
		}
	}
}

const daySeconds = 86400

// mixed: an interval opens before an earlier one has closed, as exceptions and hours
// written by SQL may.
func mixed(yesterday, today []opening) bool {
	closed := int64(math.MinInt64)
	for _, o := range yesterday {
		closed = max(closed, o.closes-daySeconds)
	}
	for _, o := range today {
		if o.opens < closed {
			return true
		}
		closed = o.closes
	}
	return false
}

// sortedStarts are those of a day and the day before.
func (r *rules) sortedStarts(from, to, midnight, change, offset int64) []int64 {
	var all []int64
	for _, begun := range []int64{midnight - daySeconds, midnight} {
		for _, o := range r.openings(begun) {
			r.openingStarts(o, begun, from, to, change, offset, func(start int64) bool {
				all = append(all, start)
				return true
			})
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// openingStarts returns false when yield stops.
func (r *rules) openingStarts(o opening, midnight, from, to, change, offset int64, yield func(int64) bool) bool {
	step := int64(r.SlotStep / time.Second)
	opens, closes := midnight+o.opens, midnight+o.closes
	endless := o.aroundTheClock
	if endless {
		closes, endless = r.closedFrom(midnight)
	}
	for start := opens + max(0, -floorDiv(opens-from, step))*step; start < min(to, midnight+o.closes); start += step {
		if (endless || r.endsInTime(start, closes, change, offset)) && !yield(start) {
			return false
		}
	}
	return true
}

// closedFrom is when a resource that is open around the clock closes: at the first
// exception that a slot of this day can reach, if any.
func (r *rules) closedFrom(midnight int64) (closes int64, endless bool) {
	reach := int64(r.SlotLength/time.Second) + 2*daySeconds
	n, _ := slices.BinarySearch(r.datedDays, midnight+1)
	if n == len(r.datedDays) || r.datedDays[n] > midnight+reach {
		return 0, true
	}
	return r.datedDays[n], false
}

// endsInTime holds across clock changes. If closing time occurs twice, the slot has to
// end by the first.
func (r *rules) endsInTime(start, closes, change, offset int64) bool {
	last := start + int64(r.SlotLength/time.Second) - 1
	// A long slot may contain several changes.
	for last >= change {
		if closes < change {
			return false
		}
		at := time.Unix(change-offset, 0).In(r.zone)
		_, end := at.ZoneBounds()
		_, later := at.Zone()
		last += int64(later) - offset
		if offset, change = int64(later), math.MaxInt64; !end.IsZero() {
			change = wallClock(end, offset)
		}
	}
	return last < closes
}

// wallClock is what clocks at that offset show, rounded up, in seconds as if they showed
// UTC.
func wallClock(t time.Time, offset int64) int64 {
	seconds := t.Unix()
	if t.Nanosecond() > 0 {
		seconds++
	}
	return seconds + offset
}

// floorDiv rounds towards negative infinity.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
