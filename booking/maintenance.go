package booking

import (
	"context"
	"time"

	"github.com/booking-platform/booking-platform/internal/periodic"
)

// Run does the background work of the package until ctx ends, and returns nil then:
// [Store.ReleaseExpired] about every 5 seconds and [Store.CompletePast] about every
// minute. A step that fails is logged and runs again in the next round. Run is safe on
// every replica at once. A program with a scheduler of its own calls the two steps
// instead.
func (s *Store) Run(ctx context.Context) error {
	round := func(every time.Duration, name string, do func(context.Context) (int, error)) periodic.Round {
		step := periodic.Step{Name: name, Timeout: stepTimeout, Do: do}
		return periodic.Round{Every: every, Steps: []periodic.Step{step}}
	}
	periodic.Run(ctx, s.log, s.onStep,
		round(5*time.Second, "booking.ReleaseExpired", s.ReleaseExpired),
		round(time.Minute, "booking.CompletePast", s.CompletePast))
	return nil
}

// stepTimeout bounds one run of a background step.
const stepTimeout = 20 * time.Second

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

// The bookings that are not settled yet are in the order of their ends in an index of
// their own, which a confirmation does not touch. Those that somebody else has locked are
// left for the next time; so this waits for nobody, and any number of replicas share the
// work. The array has them looked up one by one in any plan, where a join may read the
// whole table when the planner cannot know that nothing is due.
const completePastSQL = `
WITH due AS MATERIALIZED (
    SELECT b.id FROM booking_platform.bookings b
    WHERE b.unsettled AND b.kind = 'booking' AND b.status = 'confirmed'
      AND upper(b.during) < statement_timestamp() - make_interval(secs => $1::double precision)
    ORDER BY upper(b.during)
    LIMIT $2::integer
    FOR NO KEY UPDATE SKIP LOCKED
), completed AS (
    UPDATE booking_platform.bookings b SET status = 'completed', updated_at = statement_timestamp()
    WHERE b.id = ANY (ARRAY(SELECT d.id FROM due d))
    RETURNING b.id
), recorded AS (` + recordSQL + `
    SELECT c.id, 'confirmed', 'completed', NULL, NULL, $3::text, '' FROM completed c
)
SELECT count(*) AS completed FROM completed`

// CompletePast is a step to run every now and then, every few minutes say: it completes
// the confirmed bookings that ended longer than [Options.CompleteAfter] ago, in batches,
// until none is left or ctx ends, and returns how many. Where that is 0 it does nothing
// at all. Blocks stay as they are. Whoever noted a no-show before is not overruled, and
// [Store.NoShow] still corrects one after. The history names the actor of ctx, or
// "booking".
//
// Every replica may run it at any time: they share the work and never wait for each
// other, nor for a booking that somebody is just changing. Nothing to do is one round
// trip that reads one index.
func (s *Store) CompletePast(ctx context.Context) (int, error) {
	if s.completeAfter == 0 {
		return 0, nil
	}
	type answer struct {
		Completed int `db:"completed"`
	}
	completed := 0
	for {
		var row answer
		err := s.run(ctx, func(q Querier) (err error) {
			row, _, err = selectOne[answer](ctx, q, completePastSQL, s.completeAfter.Seconds(), sweepBatch,
				sweeper(ctx))
			return err
		})
		if err != nil {
			return completed, wrap(ctx, "complete past bookings", err)
		}
		completed += row.Completed
		if row.Completed < sweepBatch {
			break
		}
	}
	if completed > 0 {
		s.log.InfoContext(ctx, "booking: completed past bookings", "count", completed)
	}
	return completed, nil
}
