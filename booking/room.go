package booking

import (
	"context"
	"fmt"
	"time"
)

// Expires the holds in the way whose time has passed, less those that somebody else has locked. It never waits, so it
// cannot deadlock, however many it takes.
const releaseLapsedSQL = `
UPDATE booking_platform.bookings b SET status = 'expired', updated_at = statement_timestamp()
WHERE b.id IN (
    SELECT l.id FROM booking_platform.bookings l
    WHERE l.active AND l.resource_id = $1::uuid AND l.blocked && tstzrange($2::timestamptz, $3::timestamptz, '[)')
      AND l.status = 'pending' AND l.hold_expires_at <= statement_timestamp()
    FOR UPDATE SKIP LOCKED
)`

// The same for one of them, waiting for whoever has it locked. It waits while it holds no lock of its own, so it
// cannot deadlock either. Afterwards that hold is expired, confirmed after all, or extended.
const awaitLapsedSQL = `
UPDATE booking_platform.bookings b SET status = 'expired', updated_at = statement_timestamp()
WHERE b.status = 'pending' AND b.hold_expires_at <= statement_timestamp() AND b.id = (
    SELECT l.id FROM booking_platform.bookings l
    WHERE l.active AND l.resource_id = $1::uuid AND l.blocked && tstzrange($2::timestamptz, $3::timestamptz, '[)')
      AND l.status = 'pending' AND l.hold_expires_at <= statement_timestamp()
    LIMIT 1
)`

// makeRoom releases the expired holds that are in the way of a slot, and commits that: the insert that comes after it
// must find them gone, and two clients that each released some and kept them locked while they insert would deadlock.
//
// Every call gets on: it releases some, or waits until another transaction has decided about one. So whoever calls it
// until the slot is taken or free does not spin, and is not refused because somebody else was just releasing.
func (s *Store) makeRoom(ctx context.Context, resourceID string, from, to time.Time) error {
	var released int64
	for _, query := range []string{releaseLapsedSQL, awaitLapsedSQL} {
		err := s.run(ctx, func(q Querier) error {
			result, err := q.ExecContext(ctx, query, resourceID, from.UTC(), to.UTC())
			if err == nil {
				released, err = result.RowsAffected()
			}
			return err
		})
		if err != nil || released > 0 {
			return err
		}
	}
	return nil
}

// maxRoomWait bounds how long a hold in a caller's transaction waits for a connection besides the caller's and for
// whoever has the expired holds locked. That may be the caller itself, whose connection we keep busy: then waiting
// longer would be in vain.
const maxRoomWait = time.Second

const isolationSQL = `SELECT current_setting('transaction_isolation') AS isolation`

// makeRoom releases the expired holds in the way on a connection of the store's own, also where the hold is in a
// caller's transaction.
func (h holder) makeRoom(ctx context.Context, r *rules, start time.Time) error {
	from, to := r.blocked(start)
	if h.caller == nil {
		return h.store.makeRoom(ctx, r.ID, from, to)
	}
	bounded, cancel := context.WithTimeout(ctx, maxRoomWait)
	defer cancel()
	err := h.store.makeRoom(bounded, r.ID, from, to)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("expired holds are in the way and could not be released within %s: %w", maxRoomWait, errRunAgain)
	}
	if err != nil {
		return fmt.Errorf("release expired holds: %w", err)
	}
	type row struct {
		Isolation string `db:"isolation"`
	}
	tx, _, err := selectOne[row](ctx, h.caller, isolationSQL)
	if err != nil {
		return err
	}
	if tx.Isolation != "read committed" && tx.Isolation != "read uncommitted" {
		return fmt.Errorf("expired holds were released, which this transaction cannot see: %w", errRunAgain)
	}
	return nil
}
