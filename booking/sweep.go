package booking

import "context"

// sweepBatch bounds how many rows one transaction of the sweep locks.
const sweepBatch = 500

// hold_deadlines is a list of work, and the booking tells what is true: its hold may have
// been confirmed, given back or extended since the row was written, and the booking may
// have been deleted. Rows and bookings that somebody else has locked are left for the
// next time; so this waits for nobody, and any number of replicas share the work. NO KEY:
// a row that refers to a booking by a foreign key does not keep its hold alive. With the
// deadline go the numbers that the booking had in hold_quota. A booking that was
// confirmed free of charge keeps them until it begins: its deadline is moved there.
const sweepSQL = `
WITH due AS MATERIALIZED (
    SELECT d.due_at, d.booking_id, b.status = 'pending' AND b.hold_expires_at <= statement_timestamp() AS lapsed,
           b.status = 'confirmed' AS free,
           CASE
               WHEN b.status = 'pending' AND b.hold_expires_at > statement_timestamp() THEN b.hold_expires_at
               WHEN ` + freeSQL + ` AND EXISTS (SELECT FROM booking_platform.hold_quota q WHERE q.booking_id = b.id) THEN lower(b.during)
           END AS again
    FROM booking_platform.hold_deadlines d JOIN booking_platform.bookings b ON b.id = d.booking_id
    WHERE d.due_at <= statement_timestamp()
    ORDER BY d.due_at, d.booking_id
    LIMIT $1::integer
    FOR UPDATE OF d SKIP LOCKED
    FOR NO KEY UPDATE OF b SKIP LOCKED
), expired AS (
    UPDATE booking_platform.bookings b SET status = 'expired', updated_at = statement_timestamp()
    FROM due WHERE b.id = due.booking_id AND due.lapsed
    RETURNING b.id
), recorded AS (` + recordSQL + `
    SELECT e.id, 'pending', 'expired', NULL, NULL, $2::text, '' FROM expired e
), moved AS (
    UPDATE booking_platform.hold_deadlines d SET due_at = due.again, free = due.free
    FROM due WHERE d.due_at = due.due_at AND d.booking_id = due.booking_id AND due.again IS NOT NULL
), free AS MATERIALIZED (
    SELECT q.scope, q.key, q.number
    FROM due JOIN booking_platform.hold_quota q ON q.booking_id = due.booking_id
    WHERE due.again IS NULL
    FOR UPDATE OF q SKIP LOCKED
), done AS (
    DELETE FROM booking_platform.hold_deadlines d
    USING due WHERE d.due_at = due.due_at AND d.booking_id = due.booking_id AND due.again IS NULL
), numbers AS (
    DELETE FROM booking_platform.hold_quota q
    USING free WHERE q.scope = free.scope AND q.key = free.key AND q.number = free.number
), oldest AS MATERIALIZED (
    SELECT d.due_at, d.booking_id
    FROM booking_platform.hold_deadlines d
    WHERE d.due_at <= statement_timestamp()
    ORDER BY d.due_at, d.booking_id
    LIMIT $1::integer
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM booking_platform.hold_deadlines d
    USING oldest o WHERE d.due_at = o.due_at AND d.booking_id = o.booking_id
        AND NOT EXISTS (SELECT FROM booking_platform.bookings b WHERE b.id = o.booking_id)
    RETURNING d.booking_id
)
SELECT GREATEST((SELECT count(*) FROM due), (SELECT count(*) FROM gone)) AS seen, (SELECT count(*) FROM expired) AS expired`

type sweepRow struct {
	Seen    int `db:"seen"`
	Expired int `db:"expired"`
}

// ReleaseExpired is a step to run every now and then, every half minute say: it gives
// back the units of holds whose time has passed, in batches, until none is left or ctx
// ends, and returns how many it released. A hold that needs the units does not wait for
// it, so it may run seldom. Every replica may run it at any time: they share the work and
// never wait for each other, nor for a booking that somebody is just confirming. Nothing
// to do is one round trip that reads one index.
func (s *Store) ReleaseExpired(ctx context.Context) (int, error) {
	released := 0
	for {
		var row sweepRow
		err := s.run(ctx, func(q Querier) (err error) {
			row, _, err = selectOne[sweepRow](ctx, q, sweepSQL, sweepBatch, sweeper(ctx))
			return err
		})
		if err != nil {
			return released, wrap(ctx, "release expired holds", err)
		}
		released += row.Expired
		if row.Seen < sweepBatch {
			break
		}
	}
	if released > 0 {
		s.log.InfoContext(ctx, "booking: released expired holds", "count", released)
	}
	return released, nil
}
