package booking

import (
	"context"
	"database/sql"
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
			row, _, err = selectOne[sweepRow](ctx, q, sweepSQL, sweepBatch, expiryActor(ctx))
			return err
		})
		if err != nil {
			return released, wrap(ctx, "release expired holds", err)
		}
		released += row.Expired
		// A batch that is not full may still leave rows that another replica had locked.
		if row.Expired == 0 && row.Seen < sweepBatch {
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
				expiryActor(ctx))
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

// releaseExpiredIn releases the expired holds that are in the way of a slot, and commits that:
// the insert that comes after it must find them gone, and two clients that each released
// some and kept them locked while they insert would deadlock.
//
// Every call gets on: it releases some, or waits until another transaction has decided
// about one. So whoever calls it until the slot is taken or free does not spin, and is
// not refused because somebody else was just releasing.
func (s *Store) releaseExpiredIn(ctx context.Context, resourceID string, from, to time.Time) error {
	var released int64
	for _, query := range []string{releaseLapsedSQL, awaitLapsedSQL} {
		err := s.run(ctx, func(q Querier) error {
			result, err := q.ExecContext(ctx, query, resourceID, from.UTC(), to.UTC(), expiryActor(ctx))
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

// Backlog is what the bookings have that is not done, of all replicas together. Times are
// UTC.
type Backlog struct {
	// Open counts the holds that keep their units from others.
	Open int
	// Expired counts the holds whose time has passed and that nobody has released yet;
	// they keep nobody out. [Store.ReleaseExpired] sees to them.
	Expired int
	// Oldest is when the time of the oldest of the expired passed, zero when there is
	// none, and Age how long ago that is, by the database's clock: an alarm belongs on
	// it.
	Oldest time.Time
	Age    time.Duration
}

// The bookings that a deadline names are looked at, and no others: all that are pending
// have one, and the sweep takes it away afterwards. OFFSET 0 keeps the planner from
// joining the other way: with many deadlines it would read every booking there ever was.
const backlogSQL = `
SELECT w.open, w.expired, w.oldest, COALESCE(extract(epoch FROM statement_timestamp() - w.oldest) * 1000, 0)::bigint AS milliseconds
FROM (
	SELECT count(*) FILTER (WHERE b.hold_expires_at > statement_timestamp()) AS open,
		count(*) FILTER (WHERE b.hold_expires_at <= statement_timestamp()) AS expired,
		min(b.hold_expires_at) FILTER (WHERE b.hold_expires_at <= statement_timestamp()) AS oldest
	FROM booking_platform.hold_deadlines d CROSS JOIN LATERAL (
		SELECT h.status, h.hold_expires_at FROM booking_platform.bookings h WHERE h.id = d.booking_id OFFSET 0) b
	WHERE NOT d.free AND b.status = 'pending') w`

type backlogRow struct {
	Open         int                 `db:"open"`
	Expired      int                 `db:"expired"`
	Oldest       sql.Null[time.Time] `db:"oldest"`
	Milliseconds int64               `db:"milliseconds"`
}

// Backlog reads what the bookings have that is not done, in one round trip. It reads the
// bookings that have a deadline, which are those of about the length of a hold, however
// many others there are.
func (s *Store) Backlog(ctx context.Context) (Backlog, error) {
	var row backlogRow
	err := s.read(ctx, func(q Querier) (err error) {
		row, _, err = selectOne[backlogRow](ctx, q, backlogSQL)
		return err
	})
	if err != nil {
		return Backlog{}, wrap(ctx, "read what waits", err)
	}
	b := Backlog{Open: row.Open, Expired: row.Expired, Age: time.Duration(row.Milliseconds) * time.Millisecond}
	if row.Oldest.Valid {
		b.Oldest = row.Oldest.V.UTC()
	}
	return b, nil
}
