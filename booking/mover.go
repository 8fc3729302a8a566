package booking

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// mover makes moves: the store's, or those in a caller's transaction.
type mover struct {
	store *Store
	// caller is the connection of the caller's transaction; nil for the store's own.
	caller Querier
}

// do makes a step as one transaction of the store's own, or in the caller's. Where the
// step finds expired holds in the way of its wish, and so has changed nothing yet, they
// are released beside it, and it is made anew.
func (m mover) do(ctx context.Context, step func(Querier) (moves, wish, error)) error {
	for range maxAttempts {
		var in moves
		var w wish
		attempt := func(q Querier) (err error) {
			in, w, err = step(q)
			return err
		}
		var err error
		if m.caller == nil {
			err = m.store.again(ctx, attempt)
		} else {
			err = attempt(m.caller)
		}
		if !errors.Is(err, errLapsed) {
			return err
		}
		if err := m.makeRoom(ctx, in.resourceID, w.from, w.to); err != nil {
			return err
		}
	}
	return fmt.Errorf("the contention does not end: %w", errRunAgain)
}

// makeRoom releases the expired holds in a range, as a hold does.
func (m mover) makeRoom(ctx context.Context, resourceID string, from, to time.Time) error {
	h := holder{store: m.store, caller: m.caller}
	return h.beside(ctx, "release expired holds", func(ctx context.Context) error {
		return m.store.makeRoom(ctx, resourceID, from, to)
	})
}

// take reserves what a wish asks for, for the booking with that id, and puts the
// neighbours who make room for it on their new units. What is left to the caller is to
// put the booking where its placeholder is, in a statement that deletes that first. The
// errors are those of plan; nothing has changed then.
func (m moves) take(ctx context.Context, w wish, id string, was []int) (place, error) {
	for range maxAttempts {
		p, err := m.plan(ctx, w)
		if err != nil {
			return place{}, err
		}
		own, err := newPlace(id, was, p.units, w.from, w.to)
		if err != nil {
			return place{}, err
		}
		if w.self == "" {
			// A new booking is its own placeholder.
			own.Placeholder = id
		}
		places := append(p.neighbours, own)
		reserved, err := m.reserve(ctx, places)
		if err != nil {
			return place{}, err
		}
		if reserved {
			return own, m.settle(ctx, p.neighbours)
		}
		// Somebody else got one of the places since they were looked for.
		if err := m.putBack(ctx, places); err != nil {
			return place{}, err
		}
	}
	return place{}, fmt.Errorf("the contention does not end: %w", errRunAgain)
}
