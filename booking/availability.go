package booking

import (
	"context"
	"errors"
	"fmt"
	"iter"
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

// unknownResource is the error of look for a resource that does not exist.
type unknownResource struct{ idOrSlug string }

func (e unknownResource) Error() string { return ErrNotFound.Error() }
func (e unknownResource) Unwrap() error { return ErrNotFound }

// errNoOffer is the error of look where a resource does not have the offer, or has taken
// it out of sale.
var errNoOffer = errors.New("offer is not one of the resource's")

// look tells, resource by resource in the order asked, what is taken of each between two
// instants and the buffers around them, together with the rules of the offer: in one
// query, once the rules are in memory. All are seen at the same instant, by the rules
// they had then.
func (s *Store) look(ctx context.Context, idsOrSlugs []string, offer string, from, to time.Time,
	see func(*rules, takenRow)) error {
	all, sold := make([]*rules, len(idsOrSlugs)), make([]*rules, len(idsOrSlugs))
	for n, idOrSlug := range idsOrSlugs {
		all[n], _ = s.cache.get(idOrSlug)
	}
	for range 3 {
		first, last := from, to
		for n, idOrSlug := range idsOrSlugs {
			var err error
			fresh := all[n] == nil
			if fresh {
				if all[n], err = s.load(ctx, s.read, idOrSlug); errors.Is(err, ErrNotFound) {
					return unknownResource{idOrSlug}
				} else if err != nil {
					return err
				}
			}
			var known bool
			if sold[n], known = all[n].as(offer); !known && !fresh {
				// A refusal is given only by rules that were just read.
				if all[n], err = s.load(ctx, s.read, idOrSlug); err != nil {
					return err
				}
				sold[n], known = all[n].as(offer)
			}
			if !known {
				return errNoOffer
			}
			begins, _ := sold[n].blocked(from)
			_, ends := sold[n].blocked(to)
			if begins.Before(first) {
				first = begins
			}
			if ends.After(last) {
				last = ends
			}
		}
		taken, err := s.taken(ctx, all, first, last)
		if err != nil {
			return err
		}
		changed := false
		for n, r := range all {
			if taken[r.ID].Version != r.version {
				all[n], changed = nil, true
			}
		}
		if changed {
			continue
		}
		for _, r := range sold {
			see(r, taken[r.ID])
		}
		return nil
	}
	return fmt.Errorf("the resource changes all the time: %w", errRunAgain)
}

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

// AvailabilityRequest asks for the free slots of one or several resources.
type AvailabilityRequest struct {
	// Resources are ids or slugs, 1 to 100 of them.
	Resources []string
	// Offer is the slug of an offer that all of them have; "" is each resource's own
	// slot.
	Offer string
	// From and To bound the starts of the slots, From included and To not; 62 days at
	// most.
	From, To time.Time
	// Party is how many come; 0 stands for 1. Slots with less room are left out.
	Party int
}

// ResourceSlots are the free slots of one resource.
type ResourceSlots struct {
	// ResourceID and Slug name the resource.
	ResourceID, Slug string
	// Slots come by their start. An inactive resource has none.
	Slots []Slot
}

const (
	// maxResources bounds the resources of one call.
	maxResources = 100
	// maxSlots bounds how many slots one call may make, free or not, and so its memory:
	// about 30 MB.
	maxSlots = 500_000
)

// Availability returns the free slots of several resources, in the order asked for; see
// [Store.Slots]. All are seen at the same instant, in one query.
//
// A [*ValidationError] names resources, offer, from, to or party; errors.Is(err,
// [ErrNotFound]) holds where a resource does not exist. Many resources with a fine grid
// can have more slots than one answer holds: 500,000 of them begin, free or not; a
// shorter range has less. One round trip, once the rules of all of them are in memory.
func (s *Store) Availability(ctx context.Context, req AvailabilityRequest) ([]ResourceSlots, error) {
	out, err := s.availability(ctx, req)
	return out, wrap(ctx, "availability", err)
}

func (s *Store) availability(ctx context.Context, req AvailabilityRequest) ([]ResourceSlots, error) {
	if req.Party == 0 {
		req.Party = 1
	}
	p := rangeProblems(req.From, req.To, req.Party)
	if len(req.Resources) < 1 || len(req.Resources) > maxResources {
		p.add("resources", fmt.Sprintf("must be 1 to %d", maxResources))
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	out := make([]ResourceSlots, 0, len(req.Resources))
	slots := time.Duration(0)
	err := s.look(ctx, req.Resources, req.Offer, req.From, req.To, func(r *rules, taken takenRow) {
		if slots += req.To.Sub(req.From) / r.SlotStep; slots > maxSlots {
			return
		}
		out = append(out, ResourceSlots{ResourceID: r.ID, Slug: r.Slug,
			Slots: r.free(req.From, req.To, req.Party, taken)})
	})
	var unknown unknownResource
	switch {
	case errors.As(err, &unknown):
		return nil, &ValidationError{Fields: map[string]string{"resources": "name one that does not exist"},
			cause: ErrNotFound}
	case errors.Is(err, errNoOffer):
		return nil, problems{"offer": "is not one of the resource's"}.err()
	case err == nil && slots > maxSlots:
		return nil, problems{"to": "is too far from from for so many resources"}.err()
	}
	return out, err
}

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
