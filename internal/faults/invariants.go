// Package faults injects single faults between a customer's payment and its booking, and
// then checks invariants: queries over the database and the records of the Stripe
// stand-in ([Truth]).
//
//	broken, err := faults.Broken(ctx, db, faults.TruthOf(stripe))
//
// They hold once the background steps have nothing left to do: until a due refund is
// made, for example, unapplied money has not gone back. Tests that kill a host are in
// internal/e2e.
package faults

import (
	"context"
	"fmt"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// Invariant holds after every fault. Numbers 1 to 8 are about payments, 11 about messages.
type Invariant struct {
	Number int
	Says   string
	// query returns a line of text per violation.
	query string
}

// Violation is a row that violates an invariant.
type Violation struct {
	Invariant Invariant
	Row       string
}

func (v Violation) String() string {
	return fmt.Sprintf("invariant %d (%s): %s", v.Invariant.Number, v.Invariant.Says, v.Row)
}

// Every query begins with the truth as tables. An applied payment paid for its booking.
const truthSQL = `
WITH truth AS (SELECT $1::jsonb AS t),
charges AS (SELECT c.id, c.session, c.amount, c.currency, c.succeeded
    FROM truth, jsonb_to_recordset(t->'charges') AS c (id text, session text, amount bigint, currency text,
    succeeded boolean)),
theirs AS (SELECT r.id, r.session, r.amount, r.currency, r.status
    FROM truth, jsonb_to_recordset(t->'refunds') AS r (id text, session text, amount bigint, currency text,
    status text)),
contested AS (SELECT d.id, d.session, d.amount, d.currency, d.closed, d.status FROM truth,
	jsonb_to_recordset(t->'disputes') AS d (id text, session text, amount bigint, currency text, closed boolean,
		status text)),
events AS (SELECT e.id, e.type, e.session
    FROM truth, jsonb_to_recordset(t->'events') AS e (id text, type text, session text)),
receivers AS (SELECT r.name, r.types, r.effects
    FROM truth, jsonb_to_recordset(t->'receivers') AS r (name text, types jsonb, effects jsonb)),
answered AS (SELECT a.id FROM truth, jsonb_array_elements_text(t->'answered') AS a (id)),
balance AS (SELECT b.key AS currency, (b.value->>'captured')::bigint AS captured,
    (b.value->>'refunded')::bigint AS refunded,
	(b.value->>'pending')::bigint AS pending, (b.value->>'disputed')::bigint AS disputed
		FROM truth, jsonb_each(t->'balance') AS b),
desk AS (SELECT p.id, p.booking_id, p.captured_minor, p.refunded_minor, p.currency, p.parked, p.unapplied
    FROM booking_platform.payments p WHERE p.kind = 'desk'),
money AS (SELECT p.id, p.booking_id, p.kind, coalesce(p.stripe_session_id,
    CASE WHEN p.kind = 'intent' THEN p.stripe_payment_intent_id END) AS stripe_session_id, p.stripe_payment_intent_id,
    p.completed, p.failed,
    p.expired, p.parked,
	p.disputes_open, p.dispute_lost_minor AS lost,
	p.unapplied, p.asked_at, p.captured_minor, p.refunded_minor, p.refund_committed, p.captured_minor > 0
		AND NOT p.parked AND p.unapplied = '' AS applied,
	coalesce(nullif(p.captured_currency, ''), p.currency) AS came_in FROM booking_platform.payments p),
held AS (SELECT d.id, d.payment_id, d.amount_minor, d.currency, d.closed, d.withdrawn, d.reinstated, d.outcome,
	CASE WHEN d.closed THEN d.lost ELSE (d.claimed OR d.withdrawn) AND NOT d.reinstated END AS away
		FROM booking_platform.disputes d)`

// Invariants has all of them. Numbers 9 and 10 are no queries: nothing stays pending, and
// the run was not empty.
var Invariants = []Invariant{
	{1, "no two active bookings of one resource's unit overlap", overlapSQL},
	{2, "one ledger row per receiver and event id; every event takes effect once per receiver with a handler", onceSQL},
	{3, "each succeeded payment is exactly one of: a booking that was confirmed, refunded in full, parked", decidedSQL},
	{4, "a confirmed paid booking has a paid payment of the same amount and currency", paidForSQL},
	{5, "no effect without its ledger row or reconciliation record; no processed row without its effect", effectSQL},
	{6, "captured at Stripe = kept for bookings + refunded + parked + disputed, in each currency", moneySQL},
	{7, "refunds and lost disputes never exceed what was paid; refunds and disputes equal Stripe's", refundsSQL},
	{8, "every event answered 200 is in the ledger", answeredSQL},
	{11, "each change that messages tell of is in the outbox once, and the outbox has no other", messagesSQL},
}

// Broken returns the violations of all invariants. One round trip each.
func Broken(ctx context.Context, db pg.Querier, truth Truth) ([]Violation, error) {
	parameter, err := truth.parameter()
	if err != nil {
		return nil, err
	}
	var out []Violation
	for _, i := range Invariants {
		rows, err := i.rows(ctx, db, parameter)
		if err != nil {
			return nil, fmt.Errorf("faults: invariant %d: %w", i.Number, err)
		}
		for _, row := range rows {
			out = append(out, Violation{i, row})
		}
	}
	return out, nil
}

func (i Invariant) rows(ctx context.Context, db pg.Querier, truth string) ([]string, error) {
	rows, err := db.QueryContext(ctx, truthSQL+i.query, truth)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var row string
		if err := rows.Scan(&row); err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// hostsSQL is the receiver whose effects are in the database.
const hostsSQL = `SELECT r.name FROM receivers r WHERE jsonb_typeof(r.effects) IS DISTINCT FROM 'array'`

const overlapSQL = `
SELECT format('bookings %s and %s', a.id, b.id) FROM booking_platform.bookings a JOIN booking_platform.bookings b
ON a.resource_id = b.resource_id AND a.id < b.id AND a.blocked && b.blocked AND a.units && b.units
    WHERE a.active AND b.active`

// Invariant 5 has the effects of the hosts' receiver; here, no event with a handler was
// left ignored.
const onceSQL = `
SELECT format('event %s of %s has %s rows', e.stripe_event_id, e.receiver, count(*))
    FROM booking_platform.payment_events e
GROUP BY e.receiver, e.stripe_event_id HAVING count(*) > 1
UNION ALL
SELECT format('event %s took effect %s times for %s', e.id, n.effects, r.name)
FROM receivers r JOIN events e ON jsonb_exists(r.types, e.type),
	LATERAL (SELECT count(*) AS effects FROM jsonb_array_elements_text(r.effects) AS f (id) WHERE f.id = e.id) n
WHERE jsonb_typeof(r.effects) = 'array' AND n.effects <> 1
UNION ALL
SELECT format('event %s is %s (%s) for %s, which has a handler for it', e.stripe_event_id, e.outcome, e.reason, r.name)
FROM receivers r JOIN booking_platform.payment_events e ON e.receiver = r.name AND jsonb_exists(r.types, e.type)
WHERE e.outcome = 'ignored' AND e.reason = 'no_handler'`

// A cancelled hold keeps the policy's fee when the money arrives. A cancelled booking has
// refunded what the policy gives, or all that arrived; a lost dispute counts as refunded,
// and nothing is refunded while one is open. Only one payment of a booking can be
// applied.
const decidedSQL = `,
decided AS (
	SELECT c.id, c.session, p.id AS payment, b.id AS booking, p.applied,
		p.applied
		AND b.status IN ('confirmed', 'cancelled', 'completed', 'no_show')
		AND (EXISTS (SELECT FROM booking_platform.booking_history h
			WHERE h.booking_id = b.id AND h.to_status = 'confirmed')
			OR b.status = 'cancelled' AND b.refund_minor = b.late_refund_minor)
		AND (b.status <> 'cancelled' OR p.disputes_open > 0
			OR p.refunded_minor + p.lost >= LEAST(coalesce(b.refund_minor, p.captured_minor),
				p.captured_minor)) AS booked,
		NOT p.parked AND p.unapplied <> '' AND p.captured_minor > 0
			AND (p.disputes_open > 0 OR p.refunded_minor + p.lost >= p.captured_minor) AS refunded,
		p.parked AS parked
	FROM charges c LEFT JOIN money p ON p.stripe_session_id = c.session LEFT
		JOIN booking_platform.bookings b ON b.id = p.booking_id
	WHERE c.succeeded)
SELECT format('charge %s, payment %s, booking %s: booked %s, refunded %s, parked %s', d.id, d.payment, d.booking,
    d.booked, d.refunded, d.parked)
FROM decided d WHERE coalesce(d.booked, false)::int + coalesce(d.refunded, false)::int + coalesce(d.parked,
    false)::int <> 1
UNION ALL
SELECT format('booking %s was paid by %s payments', p.booking_id, count(*)) FROM money p
    WHERE p.applied GROUP BY p.booking_id HAVING count(*) > 1
UNION ALL
SELECT format('payment %s at the desk is parked or unapplied', d.id) FROM desk d WHERE d.parked OR d.unapplied <> ''`

const paidForSQL = `
SELECT format('booking %s, %s %s', b.id, b.amount_minor, b.currency) FROM booking_platform.bookings b
WHERE b.kind = 'booking' AND b.status IN ('confirmed', 'completed', 'no_show') AND b.amount_minor > 0
AND NOT EXISTS (SELECT FROM money p WHERE p.booking_id = b.id AND p.applied AND p.captured_minor = b.amount_minor
    AND p.came_in = b.currency)`

// The actor in the history is the event, or "payments" where Stripe was queried, which is
// recorded with the payment. For a delayed method, checkout.session.completed only sets
// completed.
const effectSQL = `,
told AS (SELECT e.stripe_event_id AS id,
	coalesce(nullif(e.stripe_session_id, ''), e.stripe_payment_intent_id) AS session
	FROM booking_platform.payment_events e
	WHERE e.receiver IN (` + hostsSQL + `) AND e.outcome IN ('processed', 'parked')
	AND e.type IN ('checkout.session.completed', 'checkout.session.async_payment_succeeded',
		'payment_intent.succeeded')),
processed AS (SELECT e.stripe_event_id, e.type, e.object_id, e.stripe_session_id, e.stripe_payment_intent_id
	FROM booking_platform.payment_events e WHERE e.receiver IN (` + hostsSQL + `) AND e.outcome = 'processed')
SELECT format('booking %s became %s by %s, which the ledger does not know', h.booking_id, h.to_status, h.actor)
FROM booking_platform.booking_history h
WHERE h.actor LIKE 'stripe:%' AND NOT EXISTS (SELECT FROM processed e WHERE 'stripe:' || e.stripe_event_id = h.actor)
UNION ALL
SELECT format('booking %s was confirmed by %L', h.booking_id, h.actor)
FROM booking_platform.booking_history h JOIN booking_platform.bookings b ON b.id = h.booking_id
WHERE h.to_status = 'confirmed' AND h.from_status IS DISTINCT FROM 'confirmed' AND b.amount_minor > 0
AND h.actor NOT LIKE 'stripe:%' AND h.actor <> 'payments'
AND NOT EXISTS (SELECT FROM desk d WHERE d.booking_id = b.id)
AND NOT EXISTS (SELECT FROM money p WHERE p.booking_id = b.id AND p.applied AND p.asked_at IS NOT NULL)
UNION ALL
SELECT format('refund %s by %s, which the ledger does not know', r.id, r.actor) FROM booking_platform.refunds r
WHERE r.actor LIKE 'stripe:%' AND r.actor <> 'stripe:asked'
AND NOT EXISTS (SELECT FROM processed e WHERE 'stripe:' || e.stripe_event_id = r.actor)
UNION ALL
SELECT format('payment %s has money, and neither event nor record', p.id) FROM money p
WHERE p.captured_minor > 0 AND p.kind <> 'desk'
AND NOT EXISTS (SELECT FROM told e WHERE e.session = p.stripe_session_id)
AND p.asked_at IS NULL
UNION ALL
SELECT format('event %s (%s) is processed without effect', e.stripe_event_id, e.type) FROM processed e
LEFT JOIN money p ON (e.stripe_session_id <> '' AND p.stripe_session_id = e.stripe_session_id)
	OR (e.stripe_session_id = '' AND p.stripe_payment_intent_id = e.stripe_payment_intent_id)
LEFT JOIN charges c ON c.session = p.stripe_session_id AND p.kind <> 'intent'
WHERE NOT coalesce(CASE
	WHEN e.type = 'checkout.session.completed' AND (c.succeeded IS NOT TRUE OR EXISTS (
		SELECT FROM events a WHERE a.session = c.session
			AND a.type = 'checkout.session.async_payment_succeeded')) THEN p.completed
	WHEN e.type IN ('checkout.session.completed', 'checkout.session.async_payment_succeeded') THEN p.captured_minor > 0
	WHEN e.type LIKE 'payment_intent.%' AND p.kind <> 'intent' THEN false
	WHEN e.type = 'payment_intent.succeeded' THEN p.captured_minor > 0
	WHEN e.type = 'payment_intent.processing' THEN p.completed
	WHEN e.type = 'payment_intent.canceled' THEN p.expired
	WHEN e.type = 'checkout.session.async_payment_failed' THEN p.failed
	WHEN e.type = 'checkout.session.expired' THEN p.expired
	WHEN e.type LIKE 'charge.dispute.%' THEN EXISTS (SELECT FROM held d WHERE d.payment_id = p.id AND d.id = e.object_id
		AND (e.type <> 'charge.dispute.closed' OR d.closed) AND (e.type <> 'charge.dispute.funds_withdrawn'
			OR d.withdrawn)
		AND (e.type <> 'charge.dispute.funds_reinstated' OR d.reinstated))
	WHEN e.type LIKE 'refund.%' OR e.type = 'charge.refund.updated' THEN EXISTS (
		SELECT FROM booking_platform.refunds r WHERE r.payment_id = p.id AND r.stripe_refund_id = e.object_id)
	ELSE p.id IS NOT NULL END, false)`

// Kept is what applied payments have neither refunded nor lost; unapplied payments keep
// nothing, and a parked one is not changed. A refund paid by hand leaves its money at
// Stripe. Disputed is the amount of open and lost disputes.
const moneySQL = `,
taken AS (SELECT h.payment_id, sum(h.amount_minor) AS amount FROM held h WHERE h.away GROUP BY h.payment_id),
hand AS (SELECT r.payment_id, sum(r.amount_minor) AS amount FROM booking_platform.refunds r
	WHERE r.by_hand AND r.status = 'succeeded' GROUP BY r.payment_id),
ours AS (SELECT p.came_in AS currency, sum(p.captured_minor) AS captured,
	coalesce(sum(p.captured_minor - p.refunded_minor - coalesce(t.amount, 0)) FILTER (WHERE p.applied), 0) AS kept,
	coalesce(sum(p.captured_minor - p.refunded_minor - coalesce(t.amount, 0)) FILTER (WHERE p.parked), 0) AS parked,
	coalesce(sum(x.amount), 0) AS by_hand,
	coalesce(sum(t.amount), 0) AS disputed,
	sum(p.refunded_minor) AS gone FROM money p LEFT JOIN taken t ON t.payment_id = p.id
		LEFT JOIN hand x ON x.payment_id = p.id
		WHERE p.captured_minor > 0 AND p.kind <> 'desk' GROUP BY p.came_in),
back AS (SELECT r.currency, coalesce(sum(r.amount_minor) FILTER (WHERE r.status = 'succeeded'), 0) AS succeeded,
	coalesce(sum(r.amount_minor) FILTER (WHERE r.status = 'pending'), 0) AS pending
		FROM booking_platform.refunds r WHERE NOT r.by_hand GROUP BY r.currency),
books AS (SELECT coalesce(b.currency, o.currency, r.currency) AS currency, coalesce(b.captured, 0) AS captured,
    coalesce(b.refunded, 0) AS refunded,
	coalesce(b.pending, 0) AS pending, coalesce(b.disputed, 0) AS disputed, coalesce(o.kept, 0) AS kept,
		coalesce(o.parked, 0) AS parked, coalesce(o.by_hand, 0) AS by_hand,
	coalesce(o.disputed, 0) AS our_disputed, coalesce(r.succeeded, 0) AS our_refunded, coalesce(r.pending,
		0) AS our_pending
	FROM balance b FULL JOIN ours o ON o.currency = b.currency FULL
		JOIN back r ON r.currency = coalesce(b.currency, o.currency))
SELECT format('%s: captured %s at Stripe; here kept %s, refunded %s, on its way %s, parked %s,
    disputed %s; refunded there %s, on its way %s, disputed %s',
	k.currency, k.captured, k.kept, k.our_refunded, k.our_pending, k.parked, k.our_disputed, k.refunded, k.pending,
		k.disputed)
FROM books k WHERE k.captured <> k.kept + k.our_refunded + k.our_pending + k.parked + k.our_disputed + k.by_hand
	OR k.refunded <> k.our_refunded OR k.pending <> k.our_pending OR k.disputed <> k.our_disputed`

const refundsSQL = `
SELECT format('payment %s: captured %s, committed %s, refunded %s, sum of its refunds %s', p.id, p.captured_minor,
    p.refund_committed, p.refunded_minor, s.live)
FROM money p, LATERAL (SELECT coalesce(sum(r.amount_minor) FILTER (WHERE r.status NOT IN ('failed', 'canceled')),
    0) AS live,
	coalesce(sum(r.amount_minor) FILTER (WHERE r.status IN ('pending', 'succeeded')), 0) AS gone
	FROM booking_platform.refunds r WHERE r.payment_id = p.id) s
WHERE s.live > p.captured_minor OR p.refund_committed > p.captured_minor OR p.refunded_minor <> s.gone
    OR s.gone + p.lost > p.captured_minor
UNION ALL
SELECT format('dispute %s: here %s %s, closed %s as %L; at Stripe %s %s, closed %s as %L', coalesce(h.id, t.id),
    h.amount_minor, h.currency, h.closed, h.outcome,
	t.amount, t.currency, t.closed, t.status)
FROM held h FULL JOIN contested t ON t.id = h.id LEFT JOIN money p ON p.id = h.payment_id
WHERE (h.amount_minor, h.currency, h.closed, p.stripe_session_id) IS DISTINCT
    FROM (t.amount, t.currency, t.closed, t.session)
	OR (h.closed AND h.outcome <> t.status)
UNION ALL
SELECT format('payment %s: %s disputes are open, and %s lost; by its disputes %s and %s', p.id, p.disputes_open,
    p.lost, s.open, s.lost)
FROM money p, LATERAL (SELECT count(*) FILTER (WHERE NOT h.closed) AS open,
    coalesce(sum(h.amount_minor) FILTER (WHERE h.closed AND h.away), 0) AS lost
	FROM held h WHERE h.payment_id = p.id) s
WHERE p.disputes_open <> s.open OR p.lost <> s.lost
UNION ALL
SELECT format('refund %s: here %s %s %s, at Stripe %s %s %s', coalesce(r.stripe_refund_id, t.id), r.amount_minor,
    r.currency, r.status, t.amount, t.currency, t.status)
FROM (SELECT stripe_refund_id, payment_id, amount_minor, currency, status FROM booking_platform.refunds
    WHERE stripe_refund_id IS NOT NULL) r FULL JOIN theirs t ON t.id = r.stripe_refund_id
LEFT JOIN money p ON p.id = r.payment_id
WHERE (r.amount_minor, r.currency, r.status, p.stripe_session_id) IS DISTINCT
    FROM (t.amount, t.currency, t.status, t.session)
UNION ALL
SELECT format('refund %s of payment %s is not by hand where it should be, or at Stripe', r.id, r.payment_id)
FROM booking_platform.refunds r WHERE r.by_hand AND r.stripe_refund_id IS NOT NULL
	OR NOT r.by_hand AND EXISTS (SELECT FROM desk d WHERE d.id = r.payment_id)
UNION ALL
SELECT format('charge %s: refunded %s of %s', c.id, sum(t.amount), c.amount) FROM charges c
    JOIN theirs t ON t.session = c.session
WHERE t.status IN ('pending', 'succeeded') GROUP BY c.id, c.amount HAVING sum(t.amount) > c.amount`

const answeredSQL = `
SELECT format('event %s', a.id) FROM answered a
WHERE NOT EXISTS (SELECT FROM booking_platform.payment_events e
	WHERE e.receiver IN (` + hostsSQL + `) AND e.stripe_event_id = a.id)`

// The queries name the changes as the triggers of the set BookingMail do. An erasure deletes
// the messages of a customer, whose bookings have no address then. Changes before the
// triggers, and while the migration waited for its lock, have none.
const messagesSQL = `,
triggers AS (
	SELECT min(g.tstamp)::timestamptz + interval '2 seconds' AS since
	FROM booking_platform.goose_bookingmail g WHERE g.version_id = 1),
changes AS (
	SELECT h.booking_id::text AS reference, 'booking.change' AS kind, h.id::text AS occurrence,
		b.kind = 'booking' AND b.email = '' OR h.at < (SELECT t.since FROM triggers t) AS excused
	FROM booking_platform.booking_history h JOIN booking_platform.bookings b ON b.id = h.booking_id
	WHERE h.to_status = 'confirmed' AND (h.from_status IN ('', 'pending', 'expired')
			OR h.from_status = 'confirmed' AND h.to_start IS NOT NULL)
		OR h.to_status = 'cancelled' AND h.from_status = 'confirmed'),
facts AS (
	SELECT p.booking_id::text AS reference, p.id::text AS payment, NULL AS refund
	FROM booking_platform.payments p JOIN booking_platform.bookings b ON b.id = p.booking_id
	WHERE b.email <> '' AND (p.parked OR p.unapplied <> '') AND p.updated_at >= (SELECT t.since FROM triggers t)
	UNION ALL
	SELECT p.booking_id::text, p.id::text, r.id::text
	FROM booking_platform.refunds r JOIN booking_platform.payments p ON p.id = r.payment_id
	JOIN booking_platform.bookings b ON b.id = p.booking_id
	WHERE b.email <> '' AND r.status <> 'due' AND r.updated_at >= (SELECT t.since FROM triggers t))
SELECT format('change %s of booking %s has no message', c.occurrence, c.reference) FROM changes c
WHERE NOT c.excused AND NOT EXISTS (SELECT FROM booking_platform.messages m
	WHERE (m.reference, m.kind, m.occurrence) = (c.reference, c.kind, c.occurrence))
UNION ALL
SELECT format('payment %s, refund %s has no message', f.payment, f.refund) FROM facts f
WHERE NOT EXISTS (SELECT FROM booking_platform.messages m WHERE m.reference = f.reference
	AND m.kind = 'payment.change' AND m.data ->> 'payment' = f.payment
	AND (f.refund IS NULL OR m.data ->> 'refund' = f.refund))
UNION ALL
SELECT format('message %s tells of no change', m.id) FROM booking_platform.messages m
WHERE m.kind = 'booking.change' AND NOT EXISTS (SELECT FROM changes c
	WHERE (c.reference, c.kind, c.occurrence) = (m.reference, m.kind, m.occurrence))`
