package faults

import (
	"context"
	"fmt"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// Invariant must hold after every fault. Numbers 1 to 8 are about payments.
type Invariant struct {
	Number int
	Says   string
	// query returns a line of text for each violation.
	query string
}

// Violation is a row that violates an invariant.
type Violation struct {
	Invariant Invariant
	Row       string
}

// String returns the invariant and the row.
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
}

// Broken runs all invariants and returns the violations. One round trip each.
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
