package booking

import "time"

// The statement does the whole hold: it checks the version of the rules and, by the
// database's clock, notice and horizon, picks free units, schedules the expiry and
// records the change. A refusal locks and writes nothing.
//
// If units are free, it locks the resource as the check of the foreign key would, which
// [Store.ApplyResource] excludes until its change is committed, and compares the version
// again: no hold by old rules follows a change.
//
// The units are picked at random: if concurrent holds all took the lowest one, one would
// win and the others would retry for each unit.
//
// ON CONFLICT covers the overlap, the idempotency key and the random number, of which the
// next attempt gets another. A conflict is then no error, which leaves a caller's
// transaction usable; plain inserts into an exclusion constraint can also deadlock.
//
// If too few units are free, heads is the remaining capacity at the fullest instant of
// the slot and its buffers: if it suffices, other bookings can get other units.
//
// If SQL lowered the capacity below units in use, a hold takes only the units that
// seating.Sellable describes, because the constraint alone would admit too many.
//
// Expired holds count as taken and are reported. Releasing them here would be too late
// for the INSERT or deadlock, see releaseExpiredIn.
//
// The range has two conditions for the planner. Without knowing the parameters it expects
// a hundredth of a resource's bookings to match one, too many for a generic plan, and
// would plan the prepared statement each time, which takes longer than to run it.
const holdSQL = `
WITH near AS MATERIALIZED (
    SELECT b.units, b.party, b.blocked, b.status = 'pending' AND b.hold_expires_at <= statement_timestamp() AS lapsed
    FROM booking_platform.bookings b
    WHERE b.active AND b.resource_id = $2::uuid AND b.blocked && tstzrange($6::timestamptz, $7::timestamptz, '[)')
      AND b.blocked && tstzrange($6::timestamptz, $7::timestamptz)
), taken AS MATERIALIZED (
    SELECT range_agg(n.span) AS units, bool_or(n.lapsed) AS lapsed
    FROM (SELECT unnest(near.units) AS span, near.lapsed FROM near) n
), state AS MATERIALIZED (
    SELECT r.id, r.capacity, t.lapsed,
           LEAST(statement_timestamp() + make_interval(secs => r.hold_seconds), $4::timestamptz) AS hold_expires_at,
           $4::timestamptz < statement_timestamp() + make_interval(secs => r.notice_seconds) AS too_soon,
           $4::timestamptz > statement_timestamp() + make_interval(secs => r.horizon_seconds) AS too_far,
           ARRAY(
               SELECT u FROM generate_series(1, CASE WHEN COALESCE(upper(t.units), 0) <= r.capacity + 1 THEN r.capacity
               ELSE (
                   SELECT max(n)
                   FROM generate_series(GREATEST(r.capacity - (SELECT sum(near.party) FROM near), 0), r.capacity) AS n
                   WHERE n + (
                       SELECT max(h.heads) FROM (
                           SELECT sum(e.heads) OVER (ORDER BY e.at, e.heads) AS heads
                           FROM near, LATERAL unnest(near.units) AS span, LATERAL (
                               SELECT GREATEST(upper(span) - GREATEST(lower(span), n + 1), 0) AS heads
                           ) above, LATERAL (
                               VALUES (lower(near.blocked), above.heads), (upper(near.blocked), -above.heads)
                           ) AS e(at, heads)
                       ) h
                   ) <= r.capacity
               )::integer END) AS u
               WHERE NOT COALESCE(t.units, '{}') @> u
               ORDER BY random()
           ) AS free
    FROM booking_platform.resources r, taken t
    WHERE r.id = $2::uuid AND r.version = $3::uuid AND r.active
), numbers AS MATERIALIZED (` + numbersSQL + `
), sold AS MATERIALIZED (
    SELECT s.id, r.policy, s.hold_expires_at, s.free
    FROM state s JOIN booking_platform.resources r ON r.id = s.id
    WHERE r.version = $3::uuid AND NOT s.too_soon AND NOT s.too_far AND cardinality(s.free) >= $8::integer
      AND NOT EXISTS (SELECT FROM numbers n WHERE n.until IS NOT NULL)
      AND NOT EXISTS (
          SELECT FROM booking_platform.bookings k WHERE k.idempotency_key = NULLIF($15::text, '')
              AND k.customer_hash = $24::bytea
      )
    FOR KEY SHARE OF r
), numbered AS (` + takeNumbersSQL + `
), inserted AS (
    INSERT INTO booking_platform.bookings AS b (
        id, resource_id, units, party, during, blocked, status, hold_expires_at,
        first_name, last_name, email, amount_minor, currency, reference, idempotency_key, request_hash, metadata,
        offer, policy, owner_secret, owner_nonce, customer_hash, phone, note, language
    )
    SELECT $1::uuid, s.id, (SELECT range_agg(int4range(u, u + 1)) FROM unnest(s.free[1:$8::integer]) AS u), $8::integer,
           tstzrange($4::timestamptz, $5::timestamptz, '[)'), tstzrange($6::timestamptz, $7::timestamptz, '[)'),
           'pending', s.hold_expires_at,
           $9::text, $10::text, $11::text, $12::bigint, $13::text, $14::text, NULLIF($15::text, ''), $16::bytea,
           $17::jsonb,
           $18::text, s.policy, $26::text, $27::bytea, CASE WHEN $15::text <> '' THEN $24::bytea END,
           $28::text, $29::text, $30::text
    FROM sold s
    WHERE (SELECT count(*) FROM numbered) = (SELECT count(*) FROM numbers)
    ON CONFLICT DO NOTHING
    RETURNING b.id, b.number, b.hold_expires_at, b.created_at, b.updated_at
), deadline AS (
    INSERT INTO booking_platform.hold_deadlines (due_at, booking_id)
    SELECT i.hold_expires_at, i.id FROM inserted i
), history AS (
    INSERT INTO booking_platform.booking_history (booking_id, from_status, to_status, actor)
    SELECT i.id, '', 'pending', $19::text FROM inserted i
)
SELECT i.id IS NOT NULL AS held, i.number, i.hold_expires_at, i.created_at, i.updated_at, s.too_soon, s.too_far,
       cardinality(s.free) AS free, COALESCE(s.lapsed, false) AS lapsed,
       CASE WHEN cardinality(s.free) < $8::integer THEN s.capacity - COALESCE((
           SELECT max(h.heads) FROM (
               SELECT sum(e.heads) OVER (ORDER BY e.at, e.heads) AS heads
               FROM near n, LATERAL (VALUES (lower(n.blocked), n.party), (upper(n.blocked), -n.party)) AS e(at, heads)
           ) h
       ), 0)::integer ELSE 0 END AS heads,
       i.id IS NULL AND EXISTS (
           SELECT FROM booking_platform.bookings k WHERE k.idempotency_key = NULLIF($15::text, '')
               AND k.customer_hash = $24::bytea
       ) AS repeats,
       (SELECT count(*) FROM numbered) AS numbers, COALESCE(l.scope, '') AS limit_scope, l.allowed AS limit_allowed,
       l.until AS limit_until
FROM state s LEFT JOIN inserted i ON true LEFT JOIN LATERAL (
    SELECT n.scope, n.allowed, n.until FROM numbers n WHERE n.until IS NOT NULL ORDER BY n.scope DESC LIMIT 1
) l ON true`

// There is no row if the resource does not have the version any more.
type holdRow struct {
	Held          bool       `db:"held"`
	Number        *string    `db:"number"`
	HoldExpiresAt *time.Time `db:"hold_expires_at"`
	CreatedAt     *time.Time `db:"created_at"`
	UpdatedAt     *time.Time `db:"updated_at"`
	TooSoon       bool       `db:"too_soon"`
	TooFar        bool       `db:"too_far"`
	// Free is how many free units may be sold.
	Free   int  `db:"free"`
	Lapsed bool `db:"lapsed"`
	// Heads is the remaining capacity during the slot, if Free is less than the party.
	Heads int `db:"heads"`
	// Repeats: the customer has a booking under the request's key.
	Repeats bool `db:"repeats"`
	Numbers int  `db:"numbers"`
	// LimitScope of a limit that was reached, or "".
	LimitScope   string     `db:"limit_scope"`
	LimitAllowed *int       `db:"limit_allowed"`
	LimitUntil   *time.Time `db:"limit_until"`
}

const bookingByKeySQL = `SELECT` + bookingColumns + `
FROM booking_platform.bookings b WHERE b.idempotency_key = $1::text AND b.customer_hash = $2::bytea`
