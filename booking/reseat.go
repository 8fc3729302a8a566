package booking

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// reseat makes units free for a party in a range of time, buffers included, by giving
// neighbours other units: where heads are free and no free set of units is. It is a
// transaction of the store's own, and what it changes is invisible: neither history nor
// updated_at tell of it. nil says that the room was there when it looked, or is now, or
// that the heads turned out not to suffice: the caller tries again and decides.
// ErrSlotTaken is for a capacity that was lowered, in the database, below what is sold
// nearby.
func (s *Store) reseat(ctx context.Context, r *rules, from, to time.Time, party int) error {
	return s.again(ctx, func(q Querier) error {
		m, err := lockResource(ctx, q, r.ID)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		w := wish{from: from, to: to, party: party}
		_, seats, err := m.seats(ctx, w, from, to)
		if err != nil {
			return err
		}
		// Expired holds move like the others; who is refused because of them releases
		// them.
		at := w.seat()
		if len(freeUnits(m.capacity, seats, at.from, at.to)) >= party ||
			m.capacity-mostHeads(seats, at.from, at.to) < party {
			return nil
		}
		p, err := m.reseated(ctx, w)
		if err != nil {
			return err
		}
		if len(p.neighbours) == 0 {
			if anyAbove(m.capacity, seats) {
				return ErrSlotTaken
			}
			return nil
		}
		ok, err := m.reserve(ctx, p.neighbours)
		if err == nil && !ok {
			err = errRunAgain
		}
		if err != nil {
			return err
		}
		return m.settle(ctx, p.neighbours)
	})
}

// again does a step as one transaction, and again in a new one as long as its error says
// so: somebody else got a place that was reserved, or Postgres ended it in favour of
// another transaction.
func (s *Store) again(ctx context.Context, step func(Querier) error) error {
	if p, ok := s.single.(*preparing); ok {
		if err := p.prepareMoves(ctx); err != nil {
			return err
		}
	}
	for range maxAttempts {
		err := s.transact(ctx, step)
		if !IsRetryable(err) {
			return err
		}
		s.log.DebugContext(ctx, "booking: run again", "sqlstate", sqlState(err))
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return fmt.Errorf("the contention does not end: %w", errRunAgain)
}
