package booking

import "time"

// The whole hold is one statement. It names the version of the rules the request was checked by, judges notice and
// horizon by the database's clock, sees which units are free, takes as many of those as the party needs, and notes
// when to look at the hold again.
//
// The units are taken at random: clients that see the same free units and all took the lowest would collide on it,
// one would win, and the others would have to try again for each unit there is.
//
// ON CONFLICT names no constraint, so that it covers both the overlap and the idempotency key, and so that a conflict
// ends without an error: that leaves a caller's transaction usable, and a bare insert into an exclusion constraint
// deadlocks in a fight.
//
// Expired holds count as taken here, and are told of. Releasing them in this statement would either run too late for
// the insert or deadlock; see makeRoom.
const holdSQL = `
WITH taken AS MATERIALIZED (
    SELECT range_agg(n.span) AS units, bool_or(n.lapsed) AS lapsed
    FROM (
        SELECT unnest(b.units) AS span, b.status = 'pending' AND b.hold_expires_at <= statement_timestamp() AS lapsed
        FROM booking_platform.bookings b
        WHERE b.active AND b.resource_id = $2::uuid AND b.blocked && tstzrange($6::timestamptz, $7::timestamptz, '[)')
    ) n
), state AS MATERIALIZED (
    SELECT r.id, statement_timestamp() + make_interval(secs => r.hold_seconds) AS hold_expires_at, t.lapsed,
           $4::timestamptz < statement_timestamp() + make_interval(secs => r.notice_seconds) AS too_soon,
           $4::timestamptz > statement_timestamp() + make_interval(secs => r.horizon_seconds) AS too_far,
           ARRAY(
               SELECT u FROM generate_series(1, r.capacity) AS u
               WHERE NOT COALESCE(t.units, '{}') @> u
               ORDER BY random()
           ) AS free
    FROM booking_platform.resources r, taken t
    WHERE r.id = $2::uuid AND r.version = $3::uuid AND r.active
), inserted AS (
    INSERT INTO booking_platform.bookings AS b (
        id, resource_id, units, party, during, blocked, status, hold_expires_at,
        first_name, last_name, email, amount_minor, currency, reference, idempotency_key, request_hash, metadata
    )
    SELECT $1::uuid, s.id, (SELECT range_agg(int4range(u, u + 1)) FROM unnest(s.free[1:$8::integer]) AS u), $8::integer,
           tstzrange($4::timestamptz, $5::timestamptz, '[)'), tstzrange($6::timestamptz, $7::timestamptz, '[)'),
           'pending', s.hold_expires_at,
           $9::text, $10::text, $11::text, $12::bigint, $13::text, $14::text, NULLIF($15::text, ''), $16::bytea, $17::jsonb
    FROM state s
    WHERE NOT s.too_soon AND NOT s.too_far AND cardinality(s.free) >= $8::integer
    ON CONFLICT DO NOTHING
    RETURNING b.id, b.hold_expires_at, b.created_at, b.updated_at
), deadline AS (
    INSERT INTO booking_platform.hold_deadlines (due_at, booking_id)
    SELECT i.hold_expires_at, i.id FROM inserted i
)
SELECT i.id IS NOT NULL AS held, i.hold_expires_at, i.created_at, i.updated_at, s.too_soon, s.too_far,
       cardinality(s.free) AS free, COALESCE(s.lapsed, false) AS lapsed
FROM state s LEFT JOIN inserted i ON true`

// holdRow is the answer of holdSQL. There is none when the resource no longer has the version that was named.
type holdRow struct {
	Held          bool       `db:"held"`
	HoldExpiresAt *time.Time `db:"hold_expires_at"`
	CreatedAt     *time.Time `db:"created_at"`
	UpdatedAt     *time.Time `db:"updated_at"`
	TooSoon       bool       `db:"too_soon"`
	TooFar        bool       `db:"too_far"`
	// Free counts the units that were free when the statement began, less those of expired holds.
	Free int `db:"free"`
	// Lapsed tells that expired holds are in the way.
	Lapsed bool `db:"lapsed"`
}

const bookingByKeySQL = `SELECT` + bookingColumns + `
FROM booking_platform.bookings b WHERE b.idempotency_key = $1::text`
