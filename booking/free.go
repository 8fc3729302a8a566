package booking

import (
	"slices"
	"time"
)

// free returns the slots in [from, to) with room for a party, given what is taken, by its beginning.
func (r *rules) free(from, to time.Time, party int, taken []takenRow) []Slot {
	clock := taken[0].Clock
	if taken[0].UnitFrom == nil {
		// The one row of a resource without bookings.
		taken = nil
	}
	slots := []Slot{}
	if !r.Active {
		return slots
	}
	// The slots come by their beginning and all are equally long: what is in the way of one enters the window by its
	// beginning, and leaves it by its end.
	leaving := slices.Clone(taken)
	slices.SortFunc(leaving, func(a, b takenRow) int { return a.BlockedTo.Compare(*b.BlockedTo) })
	units := newUnitCount(r.Capacity)
	// They come in order already, and once each, unless overlapping hours were written to the database by hand.
	starts := slices.Compact(slices.SortedFunc(r.starts(from, to), time.Time.Compare))
	for _, start := range starts {
		if r.timing(start, clock) != "" {
			continue
		}
		begins, ends := r.blocked(start)
		for len(taken) > 0 && taken[0].BlockedFrom.Before(ends) {
			units.add(taken[0], 1)
			taken = taken[1:]
		}
		for len(leaving) > 0 && !leaving[0].BlockedTo.After(begins) {
			units.add(leaving[0], -1)
			leaving = leaving[1:]
		}
		if remaining := r.Capacity - units.taken; remaining >= party {
			slots = append(slots, Slot{Start: start, End: start.Add(r.SlotLength), Remaining: remaining})
		}
	}
	return slots
}

// unitCount counts the bookings in the window by unit, and the units that have any.
type unitCount struct {
	bookings []int
	taken    int
}

func newUnitCount(capacity int) *unitCount { return &unitCount{bookings: make([]int, capacity+1)} }

// add enters a booking's units, or takes them out again with by = -1. Units above the capacity are of a time when it
// was larger.
func (c *unitCount) add(row takenRow, by int) {
	for unit := *row.UnitFrom; unit < min(*row.UnitTo, len(c.bookings)); unit++ {
		was := c.bookings[unit]
		c.bookings[unit] += by
		switch {
		case was == 0:
			c.taken++
		case c.bookings[unit] == 0:
			c.taken--
		}
	}
}
