package booking

import (
	"context"
	"time"
)

// Slot is a time at which a resource can be booked.
type Slot struct {
	// Start and End are in UTC; End is the instant after the last.
	Start, End time.Time
	// Remaining is how many heads still get in: the capacity, less the most that are
	// there at one instant of the slot and its buffers.
	Remaining int
}

// maxSlotRange bounds the range of one call, and so its time and memory.
const maxSlotRange = 62 * day

// Slots returns the slots of a resource that begin in [from, to) and have room for a
// party (0 stands for 1), in order. What it offers [Store.Hold] accepts, until somebody
// else takes it: opening hours, notice, horizon, buffers, bookings and daylight saving
// are all looked at. An inactive resource has none.
//
// The range is 62 days at most. The errors are [ErrNotFound] and a [*ValidationError]
// that names from, to or party. One round trip, once the resource's rules are in memory.
func (s *Store) Slots(ctx context.Context, idOrSlug string, from, to time.Time, party int) ([]Slot, error) {
	if party == 0 {
		party = 1
	}
	slots, err := s.slots(ctx, idOrSlug, from, to, party)
	return slots, wrap(ctx, "slots", err)
}

func (s *Store) slots(ctx context.Context, idOrSlug string, from, to time.Time, party int) ([]Slot, error) {
	if err := rangeProblems(from, to, party).err(); err != nil {
		return nil, err
	}
	var slots []Slot
	err := s.look(ctx, []string{idOrSlug}, "", from, to, func(r *rules, taken takenRow) {
		slots = r.free(from, to, party, taken)
	})
	return slots, err
}

func rangeProblems(from, to time.Time, party int) problems {
	p := problems{}
	p.add("from", instantProblem(from))
	p.add("to", instantProblem(to))
	if len(p) == 0 && !to.After(from) {
		p.add("to", "is not after from")
	}
	if len(p) == 0 && to.Sub(from) > maxSlotRange {
		p.add("to", "is more than 62 days after from")
	}
	if party < 1 {
		p.add("party", "must be at least 1")
	}
	return p
}
