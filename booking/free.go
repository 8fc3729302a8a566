package booking

import (
	"iter"
	"time"
)

// free returns, in order, the slots in [from, to) with room for a party, given what is
// taken of the resource.
func (r *rules) free(from, to time.Time, party int, taken takenRow) []Slot {
	if !r.Active || !to.After(from) {
		return []Slot{}
	}
	type found struct {
		start     int64
		remaining int
	}
	// A slot is large, and most of a busy month are taken: they are made when it is known
	// how many are left.
	all := make([]found, 0, to.Sub(from)/r.SlotStep+2)
	for start, remaining := range r.freeStarts(from, to, party, taken) {
		all = append(all, found{start, remaining})
	}
	slots := make([]Slot, len(all))
	for n, f := range all {
		slots[n] = r.slot(f.start, f.remaining)
	}
	return slots
}

// slot is one that begins at a second of Unix time.
func (r *rules) slot(start int64, remaining int) Slot {
	return Slot{Start: time.Unix(start, 0).UTC(), End: time.Unix(start+int64(r.SlotLength/time.Second), 0).UTC(),
		Remaining: remaining}
}

// freeStarts yields where the free slots begin, in seconds of Unix time, and what remains
// of each: what the busiest instant of its time and its buffers leaves. Who has which
// unit does not matter to that: where enough heads are free and no unit is for all of the
// time, a hold moves others to other units.
func (r *rules) freeStarts(from, to time.Time, party int, taken takenRow) iter.Seq2[int64, int] {
	return func(yield func(int64, int) bool) {
		from, to := r.timely(from, to, taken.Clock)
		before, after := r.BufferBefore.Microseconds(), (r.SlotLength + r.BufferAfter).Microseconds()
		heads := busiest{coming: taken.Changes}
		for start := range r.startSeconds(from, to) {
			at := start * 1e6
			remaining := r.Capacity - heads.within(at-before, at+after)
			if remaining >= party && !yield(start, remaining) {
				return
			}
		}
	}
}

// timely is the part of [from, to) that is within notice and horizon at an instant of the
// database's clock, as timing has it.
func (r *rules) timely(from, to, clock time.Time) (time.Time, time.Time) {
	if first := clock.Add(r.Notice); from.Before(first) {
		from = first
	}
	// A slot may begin at the horizon.
	if end := clock.Add(r.Horizon + 1); to.After(end) {
		to = end
	}
	return from, to
}
