package booking

import (
	"context"
	"time"
)

// readFromLimit bounds a read on the database of [Options.ReadFrom], after which the
// store's own is asked.
const readFromLimit = 2 * time.Second

// behindKey marks the context of a read on the database of [Options.ReadFrom].
type behindKey struct{}

// readBehind runs a read whose result may be behind on the database of
// [Options.ReadFrom]. An error there has no effect, also one that refuses the request,
// such as ErrNotFound: the store's own database decides.
//
// Only reads that decide nothing use it: Slots, Availability, NextSlot, List, Count.
func (s *Store) readBehind(ctx context.Context, do func(ctx context.Context, run runner) error) error {
	if s.readFrom != nil {
		if db := s.readFrom(ctx); db != nil {
			limited, cancel := context.WithTimeout(context.WithValue(ctx, behindKey{}, true), readFromLimit)
			err := do(limited, func(_ context.Context, step func(Querier) error) error { return step(db) })
			cancel()
			if err == nil {
				return nil
			}
			s.log.DebugContext(ctx, "booking: read again on the primary", "error", err)
		}
	}
	return do(ctx, s.read)
}

// readList is readBehind for a list, unless it is of one customer, reference or number:
// that is asked by a customer who has just booked, or by a program that has to know
// whether its booking was made, and by an index that makes it cheap.
func (s *Store) readList(ctx context.Context, opts ListOptions, do func(context.Context, runner) error) error {
	if opts.Customer != "" || opts.Reference != "" || opts.Number != "" {
		return do(ctx, s.read)
	}
	return s.readBehind(ctx, do)
}
