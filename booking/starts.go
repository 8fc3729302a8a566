package booking

import (
	"iter"
	"math"
	"slices"
	"time"
)

// A slot begins where the wall clock of the resource's zone shows opening time plus a
// whole number of steps. On the day clocks change nothing is shifted by that: a time that
// is skipped begins no slot, one that comes twice begins two, and the others stay where
// customers expect them. The length of a slot is real time.

// starts yields, in order, the instants in [from, to) at which a slot begins, in UTC. It
// looks at the rules alone: not at what is sold, nor at notice and horizon.
func (r *rules) starts(from, to time.Time) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		for start := range r.startSeconds(from, to) {
			if !yield(time.Unix(start, 0).UTC()) {
				return
			}
		}
	}
}

// isStart tells whether a slot begins at t, by the same rule that offers slots.
func (r *rules) isStart(t time.Time) bool {
	for start := range r.starts(t, t.Add(1)) {
		return start.Equal(t)
	}
	return false
}

// startSeconds is starts, in seconds of Unix time.
func (r *rules) startSeconds(from, to time.Time) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		// Between two changes of its clocks a zone has one offset, and wall clock and
		// real time differ by that alone.
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

// wallStarts yields the starts in [from, to), in order, all of them wall-clock times
// counted in seconds as if the zone were UTC. The clocks change next when they show
// change.
func (r *rules) wallStarts(from, to, change, offset int64) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for midnight := floorDiv(from, daySeconds) * daySeconds; midnight < to; midnight += daySeconds {
			begin, end := max(from, midnight), min(to, midnight+daySeconds)
			// What opened the day before may still be open after midnight.
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

// mixed tells whether an interval of a day opens before the one before it has closed,
// that of the day before included. The dates that are exceptions may do that, and so may
// what was written to the database by hand.
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

// sortedStarts are the starts in [from, to) of a day and the day before it, in order and
// once each.
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

// openingStarts yields the starts in [from, to) that belong to an interval of the day
// whose midnight this is; false when yield wants no more.
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

// closedFrom is the midnight at which a resource that is open around the clock closes:
// that of the first date with other hours among those that a slot of this day can reach.
// Endless is true when there is none.
func (r *rules) closedFrom(midnight int64) (closes int64, endless bool) {
	reach := int64(r.SlotLength/time.Second) + 2*daySeconds
	n, _ := slices.BinarySearch(r.datedDays, midnight+1)
	if n == len(r.datedDays) || r.datedDays[n] > midnight+reach {
		return 0, true
	}
	return r.datedDays[n], false
}

// endsInTime tells whether the wall clock is before closing time in every second of a
// slot that begins at start. When the clocks change meanwhile, which is when they show
// change, it was before closing time until then, and the last second has another offset.
// Where clocks go back, closing time comes twice, and a slot has to end by the first.
func (r *rules) endsInTime(start, closes, change, offset int64) bool {
	last := start + int64(r.SlotLength/time.Second) - 1
	// A slot may be so long that they change more than once.
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

// wallClock is what clocks at that offset show at t, rounded up to a whole second,
// counted as if they showed UTC.
func wallClock(t time.Time, offset int64) int64 {
	seconds := t.Unix()
	if t.Nanosecond() > 0 {
		seconds++
	}
	return seconds + offset
}

// floorDiv rounds down, where Go's / rounds towards zero.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
