package booking

import (
	"context"
	"time"
)

// Expires the holds in the way whose time has passed, less those that somebody else has
// locked. It never waits, so it cannot deadlock, however many it takes.
const releaseLapsedSQL = `
WITH released AS (
    UPDATE booking_platform.bookings b SET status = 'expired', updated_at = statement_timestamp()
    WHERE b.id IN (
        SELECT l.id FROM booking_platform.bookings l
        WHERE l.active AND l.resource_id = $1::uuid AND l.blocked && tstzrange($2::timestamptz, $3::timestamptz, '[)')
          AND l.status = 'pending' AND l.hold_expires_at <= statement_timestamp()
        FOR NO KEY UPDATE SKIP LOCKED
    )
    RETURNING b.id
)` + recordReleasedSQL

// The statement's count is that of the holds it released.
const recordReleasedSQL = recordSQL + `
    SELECT r.id, 'pending', 'expired', NULL, NULL, $4::text, '' FROM released r`

// The same for one of them, waiting for whoever has it locked. It waits while it holds no
// lock of its own, so it cannot deadlock either. Afterwards that hold is expired,
// confirmed after all, or extended.
const awaitLapsedSQL = `
WITH released AS (
    UPDATE booking_platform.bookings b SET status = 'expired', updated_at = statement_timestamp()
    WHERE b.status = 'pending' AND b.hold_expires_at <= statement_timestamp() AND b.id = (
        SELECT l.id FROM booking_platform.bookings l
        WHERE l.active AND l.resource_id = $1::uuid AND l.blocked && tstzrange($2::timestamptz, $3::timestamptz, '[)')
          AND l.status = 'pending' AND l.hold_expires_at <= statement_timestamp()
        LIMIT 1
    )
    RETURNING b.id
)` + recordReleasedSQL

// makeRoom releases the expired holds that are in the way of a slot, and commits that:
// the insert that comes after it must find them gone, and two clients that each released
// some and kept them locked while they insert would deadlock.
//
// Every call gets on: it releases some, or waits until another transaction has decided
// about one. So whoever calls it until the slot is taken or free does not spin, and is
// not refused because somebody else was just releasing.
func (s *Store) makeRoom(ctx context.Context, resourceID string, from, to time.Time) error {
	var released int64
	for _, query := range []string{releaseLapsedSQL, awaitLapsedSQL} {
		err := s.run(ctx, func(q Querier) error {
			result, err := q.ExecContext(ctx, query, resourceID, from.UTC(), to.UTC(), sweeper(ctx))
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
