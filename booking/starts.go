package booking

import (
	"iter"
	"math"
	"time"
)

// A slot begins where the wall clock of the resource's zone shows opening time plus a whole number of steps. On the
// day clocks change nothing is shifted by that: a time that is skipped begins no slot, one that comes twice begins
// two, and the others stay where customers expect them. The length of a slot is real time.

// starts yields, in order, the instants in [from, to) at which a slot begins, in UTC. It looks at the rules alone:
// not at what is sold, nor at notice and horizon.
func (r *rules) starts(from, to time.Time) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		// Between two changes of its clocks a zone has one offset, and wall clock and real time differ by that alone.
		for begin := from; begin.Before(to); {
			local := begin.In(r.zone)
			_, end := local.ZoneBounds()
			_, offset := local.Zone()
			change := int64(math.MaxInt64)
			if !end.IsZero() {
				change = wallClock(end, offset)
			}
			if end.IsZero() || end.After(to) {
				end = to
			}
			for wall := range r.wallStarts(wallClock(begin, offset), wallClock(end, offset), change, int64(offset)) {
				if !yield(time.Unix(wall-int64(offset), 0).UTC()) {
					return
				}
			}
			begin = end
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

// wallStarts yields the starts in [from, to), all of them wall-clock times counted in seconds as if the zone were
// UTC. The clocks change next when they show change.
func (r *rules) wallStarts(from, to, change, offset int64) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		step := int64(r.SlotStep / time.Second)
		// What opened the day before may still be open after midnight.
		for midnight := (floorDiv(from, 86400) - 1) * 86400; midnight < to; midnight += 86400 {
			// Day 0 of Unix time was a Thursday.
			weekday := (floorDiv(midnight, 86400)%7 + 7 + int64(time.Thursday)) % 7
			for _, o := range r.weekly[weekday] {
				opens, closes := midnight+o.opens, midnight+o.closes
				first := opens + max(0, -floorDiv(opens-from, step))*step
				for start := first; start < min(to, closes); start += step {
					if (o.aroundTheClock || r.endsInTime(start, closes, change, offset)) && !yield(start) {
						return
					}
				}
			}
		}
	}
}

// endsInTime tells whether the wall clock is before closing time in every second of a slot that begins at start. When
// the clocks change meanwhile, which is when they show change, it was before closing time until then, and the last
// second has another offset. Where clocks go back, closing time comes twice, and a slot has to end by the first.
func (r *rules) endsInTime(start, closes, change, offset int64) bool {
	last := start + int64(r.SlotLength/time.Second) - 1
	if last >= change {
		if closes < change {
			return false
		}
		instant := time.Unix(last-offset, 0)
		_, later := instant.In(r.zone).Zone()
		last = wallClock(instant, later)
	}
	return last < closes
}

// wallClock is what clocks at that offset show at t, rounded up to a whole second, counted as if they showed UTC.
func wallClock(t time.Time, offset int) int64 {
	seconds := t.Unix()
	if t.Nanosecond() > 0 {
		seconds++
	}
	return seconds + int64(offset)
}

// floorDiv rounds down, where Go's / rounds towards zero.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
