package booking

import (
	"context"
	"fmt"
	"time"
)

// maxBesideWait bounds how long a hold in a caller's transaction waits for a connection
// besides the caller's and for whoever has the bookings locked that are in the way. That
// may be the caller itself, whose connection we keep busy: then waiting longer would be
// in vain.
const maxBesideWait = time.Second

// maxReseats bounds how often neighbours are re-seated for one hold in a caller's
// transaction, whose own bookings nobody else sees: where they are in the way it does not
// help.
const maxReseats = 5

const isolationSQL = `SELECT current_setting('transaction_isolation') AS isolation`

// makeRoom releases the expired holds in the way.
func (h *holder) makeRoom(ctx context.Context, r *rules, start time.Time) error {
	from, to := r.blocked(start)
	return h.beside(ctx, "release expired holds", func(ctx context.Context) error {
		return h.store.makeRoom(ctx, r.ID, from, to)
	})
}

// reseat gives the neighbours of a slot other units, so that some are free for the party.
func (h *holder) reseat(ctx context.Context, r *rules, start time.Time, party int) error {
	if h.caller != nil {
		if h.reseats++; h.reseats > maxReseats {
			return fmt.Errorf("re-seat neighbours: this transaction's own bookings are in the way: %w", errRunAgain)
		}
	}
	from, to := r.blocked(start)
	return h.beside(ctx, "re-seat neighbours", func(ctx context.Context) error {
		return h.store.reseat(ctx, r, from, to, party)
	})
}

// beside does what is in the way of a hold in a transaction of the store's own, also
// where the hold is in a caller's: others must see it, whatever becomes of that.
func (h *holder) beside(ctx context.Context, what string, do func(context.Context) error) error {
	if h.caller == nil {
		return do(ctx)
	}
	bounded, cancel := context.WithTimeout(ctx, h.store.besideWait)
	defer cancel()
	err := do(bounded)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%s: not done within %s: %w", what, h.store.besideWait, errRunAgain)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	type row struct {
		Isolation string `db:"isolation"`
	}
	tx, _, err := selectOne[row](ctx, h.caller, isolationSQL)
	if err != nil {
		return err
	}
	if tx.Isolation != "read committed" && tx.Isolation != "read uncommitted" {
		return fmt.Errorf("%s: done, which this transaction cannot see: %w", what, errRunAgain)
	}
	return nil
}
