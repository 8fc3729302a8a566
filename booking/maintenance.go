package booking

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/booking-platform/booking-platform/internal/periodic"
)

// Run does the background work of the package until ctx ends, and then returns nil:
// [Store.ReleaseExpired] about every 5 seconds, [Store.CompletePast] about every minute,
// and [Store.ErasePast] about every hour. A failed step is logged and runs again in the
// next round. Safe on every replica at once. A program with its own scheduler calls the
// steps instead.
func (s *Store) Run(ctx context.Context) error {
	round := func(every, timeout time.Duration, name string, do func(context.Context) (int, error)) periodic.Round {
		step := periodic.Step{Name: name, Timeout: timeout, Do: do}
		return periodic.Round{Every: every, Steps: []periodic.Step{step}}
	}
	periodic.Run(ctx, s.log, s.onStep,
		round(5*time.Second, stepTimeout, "booking.ReleaseExpired", s.ReleaseExpired),
		round(time.Minute, stepTimeout, "booking.CompletePast", s.CompletePast),
		round(time.Hour, time.Minute, "booking.ErasePast", s.ErasePast))
	return nil
}

const stepTimeout = 20 * time.Second

// batchSize bounds the rows that one transaction of a background step locks.
const batchSize = 500

// hold_deadlines is a work list and bookings has the truth: the hold may have been
// confirmed, released or extended since, or deleted. Locked rows are skipped, so that
// replicas share the work without waiting. The numbers in hold_quota are deleted with the
// deadline; a booking confirmed free of charge keeps them, and its deadline is moved,
// until it begins.
const releaseExpiredSQL = `
WITH due AS MATERIALIZED (
    SELECT d.due_at, d.booking_id, b.status = 'pending' AND b.hold_expires_at <= statement_timestamp() AS lapsed,
           b.status = 'confirmed' AS free,
           CASE
               WHEN b.status = 'pending' AND b.hold_expires_at > statement_timestamp() THEN b.hold_expires_at
               WHEN ` + freeSQL + ` AND EXISTS (SELECT FROM booking_platform.hold_quota q WHERE q.booking_id = b.id)
                   THEN lower(b.during)
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
SELECT GREATEST((SELECT count(*) FROM due), (SELECT count(*) FROM gone)) AS seen,
       COALESCE((SELECT array_to_json(array_agg(e.id)) FROM expired e), '[]')::text AS expired`

type releasedRow struct {
	Seen int `db:"seen"`
	// Expired are the ids of the holds, as JSON.
	Expired string `db:"expired"`
}

// ReleaseExpired frees the units of expired holds, in batches until none is left or ctx
// ends, and returns how many. Holds that need the units do not wait for it, so it may run
// seldom. Safe on every replica at once: replicas share the work and wait neither for
// each other nor for a booking that is being confirmed. If nothing is due, one round trip
// that reads one index.
func (s *Store) ReleaseExpired(ctx context.Context) (int, error) {
	released := 0
	for {
		var row releasedRow
		var ids []string
		err := s.change(ctx, func(q Querier) (err error) {
			row, _, err = selectOne[releasedRow](ctx, q, releaseExpiredSQL, batchSize, expiryActor(ctx))
			if err == nil {
				err = json.Unmarshal([]byte(row.Expired), &ids)
			}
			if err == nil {
				err = s.tellEach(ctx, q, StatusPending, ids, expiryActor(ctx))
			}
			return err
		})
		if err != nil {
			return released, wrap(ctx, "release expired holds", err)
		}
		released += len(ids)
		// A batch that is not full may still leave rows that another replica had locked.
		if len(ids) == 0 && row.Seen < batchSize {
			break
		}
	}
	if released > 0 {
		s.log.InfoContext(ctx, "booking: released expired holds", "count", released)
	}
	return released, nil
}

// The index bookings_by_end has the unsettled bookings by end. Locked rows are skipped.
// The array makes every plan look up bookings one by one; a join may read the whole
// table, because the planner cannot know that nothing is due.
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
SELECT c.id::text AS id FROM completed c`

// idRow is a booking that a background step changed.
type idRow struct {
	ID string `db:"id"`
}

func idsOf(rows []idRow) []string {
	ids := make([]string, len(rows))
	for n, row := range rows {
		ids[n] = row.ID
	}
	return ids
}

// CompletePast completes the confirmed bookings, but not blocks, that ended longer than
// [Options.CompleteAfter] ago, in batches until none is left or ctx ends, and returns how
// many. If CompleteAfter is 0 it does nothing. [Store.NoShow] can still correct a
// completed booking. Safe on every replica at once, as [Store.ReleaseExpired] is. If
// nothing is due, one round trip that reads one index.
func (s *Store) CompletePast(ctx context.Context) (int, error) {
	if s.completeAfter == 0 {
		return 0, nil
	}
	completed := 0
	for {
		var rows []idRow
		err := s.change(ctx, func(q Querier) (err error) {
			rows, err = selectAll[idRow](ctx, q, completePastSQL, s.completeAfter.Seconds(), batchSize,
				expiryActor(ctx))
			if err == nil {
				err = s.tellEach(ctx, q, StatusConfirmed, idsOf(rows), expiryActor(ctx))
			}
			return err
		})
		if err != nil {
			return completed, wrap(ctx, "complete past bookings", err)
		}
		completed += len(rows)
		if len(rows) < batchSize {
			break
		}
	}
	if completed > 0 {
		s.log.InfoContext(ctx, "booking: completed past bookings", "count", completed)
	}
	return completed, nil
}

// Expires the unlocked holds in the way, without waiting.
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

const recordReleasedSQL = recordSQL + `
    SELECT r.id, 'pending', 'expired', NULL, NULL, $4::text, '' FROM released r
    RETURNING booking_id::text AS id`

// Expires one hold in the way, waiting for its lock. It holds no lock meanwhile, and so
// cannot deadlock. Afterwards the hold is expired, confirmed or extended.
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

// releaseExpiredIn releases the expired holds in [from, to) and commits: if clients kept
// them locked while inserting, they would deadlock. Each call releases some, or waits
// until another transaction has decided about one, so callers that repeat it do not spin.
func (s *Store) releaseExpiredIn(ctx context.Context, resourceID string, from, to time.Time) error {
	for _, query := range []string{releaseLapsedSQL, awaitLapsedSQL} {
		var rows []idRow
		err := s.change(ctx, func(q Querier) (err error) {
			rows, err = selectAll[idRow](ctx, q, query, resourceID, from.UTC(), to.UTC(), expiryActor(ctx))
			if err == nil {
				err = s.tellEach(ctx, q, StatusPending, idsOf(rows), expiryActor(ctx))
			}
			return err
		})
		if err != nil || len(rows) > 0 {
			return err
		}
	}
	return nil
}

// Backlog is the unfinished work on holds, of all replicas.
type Backlog struct {
	// Open counts the unexpired holds.
	Open int
	// Expired counts the expired holds that are not released yet.
	Expired int
	// Oldest is when the oldest of these expired, in UTC, zero if there is none, and Age
	// how long ago that is by the database's clock. Alert on Age.
	Oldest time.Time
	Age    time.Duration
}

// Every pending booking has a deadline. OFFSET 0 prevents a join in the other order,
// which would read all bookings.
const backlogSQL = `
SELECT w.open, w.expired, w.oldest,
       COALESCE(extract(epoch FROM statement_timestamp() - w.oldest) * 1000, 0)::bigint AS milliseconds
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

// Backlog counts the open and the expired holds. One round trip, which reads only
// bookings with a deadline.
func (s *Store) Backlog(ctx context.Context) (Backlog, error) {
	var row backlogRow
	err := s.read(ctx, func(q Querier) (err error) {
		row, _, err = selectOne[backlogRow](ctx, q, backlogSQL)
		return err
	})
	if err != nil {
		return Backlog{}, wrap(ctx, "backlog", err)
	}
	b := Backlog{Open: row.Open, Expired: row.Expired, Age: time.Duration(row.Milliseconds) * time.Millisecond}
	if row.Oldest.Valid {
		b.Oldest = row.Oldest.V.UTC()
	}
	return b, nil
}
