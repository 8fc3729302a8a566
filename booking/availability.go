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
	// Start and End are in UTC; End is exclusive.
	Start, End time.Time
	// Remaining is the capacity left at the fullest instant of the slot and its buffers.
	Remaining int
}

const maxSlotRange = 62 * day

// Slots returns the slots of a resource that begin in [from, to) and can take a party (0
// means 1), by start: within opening hours, notice and horizon. An inactive resource has
// none. The range is 62 days at most. The errors are [ErrNotFound] and a
// [*ValidationError] for from, to or party. One round trip if the rules are cached.
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
	read, err := s.readOccupancy(ctx, []string{idOrSlug}, "", fixed(from, to))
	if err != nil {
		return nil, err
	}
	return read[0].freeSlots(party), nil
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

// AvailabilityRequest asks for the free slots of one or several resources.
type AvailabilityRequest struct {
	// Resources are ids or slugs, 1 to 100.
	Resources []string
	// Offer is the slug of an offer that all of them have; "" is the resource's own slot.
	Offer string
	// From and To bound the starts of the slots, To exclusive; at most 62 days.
	From, To time.Time
	// Span, if not nil, replaces From and To by a range in the zone of each resource, for
	// dates. It is called again if the resource has changed, so that the last call has
	// the database's zone. Its error is returned, wrapped.
	Span func(zone *time.Location) (from, to time.Time, err error)
	// Party is the number of people; 0 means 1.
	Party int
}

// ResourceSlots are the free slots of one resource.
type ResourceSlots struct {
	ResourceID, Slug string
	Slots            []Slot
}

const (
	maxResources = 100
	// maxSlots bounds the slots, free or not, that begin in the range of one call: about
	// 30 MB.
	maxSlots = 500_000
)

// Availability returns the free slots of several resources, see [Store.Slots], as of one
// instant and in the order of the request. A [*ValidationError] names resources, offer,
// from, to or party; errors.Is(err, [ErrNotFound]) is true if a resource does not exist.
// At most 500,000 slots, free or not, may begin in the range. One round trip if the rules
// are cached.
func (s *Store) Availability(ctx context.Context, req AvailabilityRequest) ([]ResourceSlots, error) {
	out, err := s.availability(ctx, req)
	return out, wrap(ctx, "availability", err)
}

func (s *Store) availability(ctx context.Context, req AvailabilityRequest) ([]ResourceSlots, error) {
	if req.Party == 0 {
		req.Party = 1
	}
	p := problems{}
	if len(req.Resources) < 1 || len(req.Resources) > maxResources {
		p.add("resources", fmt.Sprintf("must be 1 to %d", maxResources))
	}
	span := fixed(req.From, req.To)
	if req.Span == nil {
		p.merge(rangeProblems(req.From, req.To, req.Party))
	} else {
		span = func(zone *time.Location) (from, to time.Time, err error) {
			if from, to, err = req.Span(zone); err == nil {
				err = rangeProblems(from, to, req.Party).err()
			}
			return from, to, err
		}
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	read, err := s.readOccupancy(ctx, req.Resources, req.Offer, span)
	var unknown unknownResource
	switch {
	case errors.As(err, &unknown):
		return nil, &ValidationError{Fields: map[string]string{"resources": "name one that does not exist"},
			cause: ErrNotFound}
	case err != nil:
		return nil, err
	}
	slots := time.Duration(0)
	for _, o := range read {
		slots += o.to.Sub(o.from) / o.rules.SlotStep
	}
	if slots > maxSlots {
		return nil, problems{"to": "is too far from from for so many resources"}.err()
	}
	out := make([]ResourceSlots, len(read))
	for n, o := range read {
		out[n] = ResourceSlots{ResourceID: o.rules.ID, Slug: o.rules.Slug,
			Slots: o.freeSlots(req.Party)}
	}
	return out, nil
}

// ErrNoSlot means that no slot is free up to the resource's horizon.
var ErrNoSlot = errors.New("booking: no slot is free")

// NextSlotRequest asks for the first free slot.
type NextSlotRequest struct {
	// Resource is an id or a slug.
	Resource string
	// Offer is the slug of one of its offers; "" is the resource's own slot.
	Offer string
	// After is the earliest start; the zero time means now.
	After time.Time
	// Party is the number of people; 0 means 1.
	Party int
}

// NextSlot searches a week first, then twice as long each time, up to a year.
const (
	firstSearch   = 7 * day
	longestSearch = 366 * day
)

// NextSlot returns the first free slot, by the rules of [Store.Slots], at After or later.
// The error is [ErrNoSlot], [ErrNotFound], or a [*ValidationError] for offer, after or
// party. One round trip if a slot is free within a week and the rules are cached; at most
// 16.
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
		// The database's clock decides; this is before it even if the two clocks differ.
		from = time.Now().Add(-day)
	}
	p.add("after", instantProblem(from))
	if err := p.err(); err != nil {
		return Slot{}, err
	}
	for length := firstSearch; ; length = min(2*length, longestSearch) {
		to := from.Add(length)
		read, err := s.readOccupancy(ctx, []string{req.Resource}, req.Offer, fixed(from, to))
		if err != nil {
			return Slot{}, err
		}
		o := read[0]
		if o.rules.Inactive || req.Party > o.rules.Capacity {
			return Slot{}, ErrNoSlot
		}
		for start, remaining := range o.freeStarts(req.Party) {
			return o.rules.slot(start, remaining), nil
		}
		if to.After(o.taken.Clock.Add(o.rules.Horizon)) {
			return Slot{}, ErrNoSlot
		}
		if from = to; from.Before(o.taken.Clock) {
			from = o.taken.Clock
		}
	}
}

// unknownResource is the error of readOccupancy for a resource that does not exist.
type unknownResource struct{ idOrSlug string }

func (e unknownResource) Error() string { return ErrNotFound.Error() }
func (e unknownResource) Unwrap() error { return ErrNotFound }

type spanFunc func(zone *time.Location) (from, to time.Time, err error)

func fixed(from, to time.Time) spanFunc {
	return func(*time.Location) (time.Time, time.Time, error) { return from, to, nil }
}

// offering is a resource, by the rules of an offer, with its occupancy around [from, to).
type offering struct {
	rules    *rules
	from, to time.Time
	taken    occupancyRow
}

// readOccupancy reads the occupancy of resources in one statement, and before it their
// rules if they are not cached or have changed. All are as of one instant. Only rules
// just read refuse a request.
func (s *Store) readOccupancy(ctx context.Context, idsOrSlugs []string, offer string, span spanFunc) (read []offering,
	err error) {
	err = s.readBehind(ctx, func(ctx context.Context, run runner) error {
		read, err = s.readOccupancyBy(ctx, run, idsOrSlugs, offer, span)
		return err
	})
	return read, err
}

func (s *Store) readOccupancyBy(ctx context.Context, run runner, idsOrSlugs []string, offer string,
	span spanFunc) ([]offering, error) {
	all := make([]*rules, len(idsOrSlugs))
	for n, idOrSlug := range idsOrSlugs {
		all[n], _ = s.cache.get(idOrSlug)
	}
	for range 3 {
		out := make([]offering, len(all))
		var first, last time.Time
		for n, idOrSlug := range idsOrSlugs {
			r, o, err := s.offering(ctx, run, all[n], idOrSlug, offer, span)
			if err != nil {
				return nil, err
			}
			all[n], out[n] = r, o
			begins, _ := o.rules.blocked(o.from)
			_, ends := o.rules.blocked(o.to)
			if n == 0 || begins.Before(first) {
				first = begins
			}
			if ends.After(last) {
				last = ends
			}
		}
		taken, err := occupancy(ctx, run, all, first, last)
		if err != nil {
			return nil, err
		}
		changed := false
		for n, r := range all {
			if out[n].taken = taken[r.ID]; out[n].taken.Version != r.version {
				all[n], changed = nil, true
			}
		}
		if !changed {
			return out, nil
		}
	}
	return nil, fmt.Errorf("the resource keeps changing: %w", errRetry)
}

// offering returns the rules of a resource and, without the occupancy, the offering.
func (s *Store) offering(ctx context.Context, run runner, r *rules, idOrSlug, offer string, span spanFunc) (*rules,
	offering, error) {
	var o offering
	var ok bool
	if r != nil {
		o.rules, ok = r.forOffer(offer)
	}
	if !ok {
		var err error
		if r, err = s.load(ctx, run, idOrSlug); errors.Is(err, ErrNotFound) {
			return nil, o, unknownResource{idOrSlug}
		} else if err != nil {
			return nil, o, err
		}
		o.rules, ok = r.forOffer(offer)
	}
	var err error
	if o.from, o.to, err = span(r.zone); err == nil && !ok {
		err = problems{"offer": "is not one of the resource's"}.err()
	}
	return r, o, err
}

func (o *offering) freeSlots(party int) []Slot {
	if o.rules.Inactive || !o.to.After(o.from) {
		return []Slot{}
	}
	type found struct {
		start     int64
		remaining int
	}
	// A Slot is large, and most of a busy month are taken: count before allocating.
	all := make([]found, 0, o.to.Sub(o.from)/o.rules.SlotStep+2)
	for start, remaining := range o.freeStarts(party) {
		all = append(all, found{start, remaining})
	}
	slots := make([]Slot, len(all))
	for n, f := range all {
		slots[n] = o.rules.slot(f.start, f.remaining)
	}
	return slots
}

// slot returns the slot that begins at a second of Unix time.
func (r *rules) slot(start int64, remaining int) Slot {
	return Slot{Start: time.Unix(start, 0).UTC(), End: time.Unix(start+int64(r.SlotLength/time.Second), 0).UTC(),
		Remaining: remaining}
}

// freeStarts yields the starts of the free slots, in seconds of Unix time, and what
// remains of each. Which units are in use does not matter, because holds reassign them.
func (o *offering) freeStarts(party int) iter.Seq2[int64, int] {
	r := o.rules
	return func(yield func(int64, int) bool) {
		from, to := r.clampToWindow(o.from, o.to, o.taken.Clock)
		before, after := r.BufferBefore.Microseconds(), (r.SlotLength + r.BufferAfter).Microseconds()
		units := maxWindow{coming: o.taken.Changes}
		for start := range r.startSeconds(from, to) {
			at := start * 1e6
			remaining := r.Capacity - units.within(at-before, at+after)
			if remaining >= party && !yield(start, remaining) {
				return
			}
		}
	}
}

// clampToWindow returns the part of [from, to) within notice and horizon. A slot may
// begin at the horizon.
func (r *rules) clampToWindow(from, to, clock time.Time) (time.Time, time.Time) {
	if first := clock.Add(r.Notice); from.Before(first) {
		from = first
	}
	if end := clock.Add(r.Horizon + 1); to.After(end) {
		to = end
	}
	return from, to
}
