package booking

import (
	"context"
	"errors"
	"fmt"
	"time"
)

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
