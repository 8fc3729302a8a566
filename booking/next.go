package booking

import (
	"context"
	"errors"
	"time"
)

// ErrNoSlot tells that no slot is free, from the instant asked for up to the resource's
// horizon.
var ErrNoSlot = errors.New("no slot is free")

// NextSlotRequest asks for the first free slot from an instant on.
type NextSlotRequest struct {
	// Resource is an id or a slug.
	Resource string
	// Offer is the slug of one of its offers; "" is the resource's own slot.
	Offer string
	// After is when the slot begins at the earliest; the zero time stands for now.
	After time.Time
	// Party is how many come; 0 stands for 1.
	Party int
}

// The first look is a week, and each one after it twice as long, up to a year.
const (
	firstLook   = 7 * day
	longestLook = 366 * day
)

// NextSlot returns the first free slot of a resource that begins at an instant or after
// it, by the rules of [Store.Slots]. The error is [ErrNoSlot] when there is none up to
// the resource's horizon, [ErrNotFound], or a [*ValidationError] that names offer, after
// or party.
//
// One round trip when something is free within a week, once the resource's rules are in
// memory; 16 at most, when ten years are sold out.
func (s *Store) NextSlot(ctx context.Context, req NextSlotRequest) (Slot, error) {
	slot, err := s.nextSlot(ctx, req)
	return slot, wrap(ctx, "next slot", err)
}

func (s *Store) nextSlot(ctx context.Context, req NextSlotRequest) (Slot, error) {
	p := problems{}
	if req.Party == 0 {
		req.Party = 1
	}
	if req.Party < 1 {
		p.add("party", "must be at least 1")
	}
	from := req.After
	if from.IsZero() {
		// The database's clock says what has passed; this only has to be before it,
		// whatever the clock here shows.
		from = time.Now().Add(-day)
	}
	p.add("after", instantProblem(from))
	if err := p.err(); err != nil {
		return Slot{}, err
	}
	for length := firstLook; ; length = min(2*length, longestLook) {
		to := from.Add(length)
		var next *Slot
		var clock, last time.Time
		err := s.look(ctx, []string{req.Resource}, req.Offer, from, to, func(r *rules, taken takenRow) {
			clock, last = taken.Clock, taken.Clock.Add(r.Horizon)
			if !r.Active || req.Party > r.Capacity {
				last = time.Time{}
				return
			}
			for start, remaining := range r.freeStarts(from, to, req.Party, taken) {
				slot := r.slot(start, remaining)
				next = &slot
				return
			}
		})
		switch {
		case errors.Is(err, errNoOffer):
			return Slot{}, problems{"offer": "is not one of the resource's"}.err()
		case err != nil:
			return Slot{}, err
		case next != nil:
			return *next, nil
		case to.After(last):
			return Slot{}, ErrNoSlot
		}
		if from = to; from.Before(clock) {
			from = clock
		}
	}
}
