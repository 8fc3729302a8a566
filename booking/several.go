package booking

import (
	"context"
	"errors"
	"fmt"
	"time"
)

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
