package payments

import (
	"context"
	"fmt"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// BacklogCount counts items of a [Backlog].
type BacklogCount struct {
	Count int
	// Oldest is when the oldest item began to wait, in UTC; Age is how long ago by the
	// database's clock, for alerts.
	Oldest time.Time
	Age    time.Duration
}

// Backlog is the unfinished work of one account, over all replicas.
type Backlog struct {
	// Overdue payments are open after their Checkout Session's end.
	Overdue BacklogCount
	// Processing payments wait for a delayed payment method, for days; since their last
	// change.
	Processing BacklogCount
	// Parked payments wait for an operator, since their last change, unless refunded in
	// full or being so.
	Parked BacklogCount
	// Disputed payments have an open dispute, since the oldest of these was recorded.
	// Parked ones count too.
	Disputed BacklogCount
	// RefundsDue are not made at Stripe yet, since they were requested. RefundsStuck are
	// those that failed three times. Both exclude payments with an open dispute.
	RefundsDue, RefundsStuck BacklogCount
	// RefundsByHand are refunds of money at the desk, since they were requested, in
	// neither RefundsDue nor RefundsStuck.
	RefundsByHand BacklogCount
	// RefundsPending are on their way for days, since they were requested.
	RefundsPending BacklogCount
	// RefundsFailed failed or were canceled, since then. One is done when later refunds
	// of the payment or lost disputes cover its amount, or nothing is left to refund.
	RefundsFailed BacklogCount
	// RefundsUnknown are payments of which more was refunded than the rows account for,
	// since their last change.
	RefundsUnknown BacklogCount
	// OtherAccounts are overdue payments and due refunds that only a process with another
	// account's key and name settles.
	OtherAccounts BacklogCount
}

const (
	waitsParkedSQL = `p.parked AND CASE WHEN p.captured_minor = 0 THEN NOT p.failed AND NOT p.expired
		ELSE p.refund_committed + p.dispute_lost_minor < p.captured_minor END`
	waitsDisputedSQL = `p.disputes_open > 0`
	// No refund r is made during a dispute.
	undisputedSQL = `EXISTS (SELECT FROM booking_platform.payments p WHERE p.id = r.payment_id AND p.disputes_open = 0)`
)

// Failed refunds not covered by a later refund or a lost dispute, of a payment without
// open dispute and with something left to refund. OFFSET 0 prevents a parallel plan,
// whose start takes longer than the query.
const waitsRefusedSQL = `
	SELECT f.id, f.updated_at, f.payment_id FROM (
		SELECT r.id, r.payment_id, r.amount_minor, r.created_at, r.updated_at FROM booking_platform.refunds r
		WHERE r.status IN ('failed', 'canceled') AND r.failure <> '` + FailureDisputeLost + `' OFFSET 0) f
	WHERE EXISTS (SELECT FROM booking_platform.payments p WHERE p.id = f.payment_id AND p.disputes_open = 0
		AND p.refund_committed + p.dispute_lost_minor < p.captured_minor)
	AND NOT EXISTS (
		SELECT FROM booking_platform.refunds l
		WHERE l.payment_id = f.payment_id AND l.created_at > f.created_at AND l.amount_minor >= f.amount_minor
		AND (l.status NOT IN ('failed', 'canceled') OR l.failure = '` + FailureDisputeLost + `'))
	AND NOT EXISTS (
		SELECT FROM booking_platform.disputes d
		WHERE d.payment_id = f.payment_id AND d.updated_at > f.created_at AND ` + disputeTakenSQL + `
		HAVING sum(d.amount_minor) >= f.amount_minor)`

// Each part reads a partial index without settled rows.
const backlogSQL = `
WITH waits (what, since, payment_id) AS MATERIALIZED (
	SELECT 'overdue', p.session_expires_at, p.id FROM booking_platform.payments p
	WHERE p.captured_minor = 0 AND NOT p.expired AND NOT p.failed AND NOT p.parked
	AND NOT p.completed AND p.session_expires_at < statement_timestamp()
	UNION ALL
	SELECT 'processing', p.updated_at, p.id FROM booking_platform.payments p
	WHERE p.captured_minor = 0 AND NOT p.expired AND NOT p.failed AND NOT p.parked AND p.completed
	UNION ALL
	SELECT 'parked', p.updated_at, p.id FROM booking_platform.payments p
	WHERE ` + waitsParkedSQL + `
	UNION ALL
	SELECT 'disputed', coalesce((SELECT min(d.created_at) FROM booking_platform.disputes d
		WHERE d.payment_id = p.id AND NOT d.closed), p.updated_at), p.id
	FROM booking_platform.payments p WHERE ` + waitsDisputedSQL + `
	UNION ALL
	SELECT CASE WHEN r.by_hand THEN 'by hand' ELSE 'due' END, r.created_at, r.payment_id FROM booking_platform.refunds r
	WHERE r.status = 'due' AND ` + undisputedSQL + `
	UNION ALL
	SELECT 'stuck', r.created_at, r.payment_id FROM booking_platform.refunds r
	WHERE r.status = 'due' AND r.tries >= 3 AND ` + undisputedSQL + `
	UNION ALL
	SELECT 'pending', r.created_at, r.payment_id FROM booking_platform.refunds r WHERE r.status = 'pending'
	UNION ALL
	SELECT 'refused', f.updated_at, f.payment_id FROM (` + waitsRefusedSQL + `) f
	UNION ALL
	SELECT 'unknown', p.updated_at, p.id FROM booking_platform.payments p WHERE p.refunds_unknown > 0
), owned AS (
	SELECT w.what, w.since, p.account IN ('', $1::text) AS ours FROM waits w
		JOIN booking_platform.payments p ON p.id = w.payment_id
), counted (what, since) AS (
	SELECT w.what, w.since FROM owned w WHERE w.ours
	UNION ALL
	SELECT 'other', w.since FROM owned w WHERE NOT w.ours AND w.what IN ('overdue', 'due')
)
SELECT w.what, count(*), min(w.since),
	GREATEST(0, extract(epoch FROM statement_timestamp() - min(w.since)) * 1000)::bigint
FROM counted w GROUP BY w.what`

// Backlog is of this account. One round trip, whatever the number of settled payments.
func (p *Payments) Backlog(ctx context.Context) (Backlog, error) {
	var b Backlog
	err := p.read(ctx, "read the backlog", func(q booking.Querier) (err error) {
		b, err = readBacklog(ctx, q, p.account)
		return err
	})
	if err != nil {
		return Backlog{}, err
	}
	return b, nil
}

func readBacklog(ctx context.Context, q booking.Querier, account string) (Backlog, error) {
	var b Backlog
	parts := map[string]*BacklogCount{
		"overdue": &b.Overdue, "processing": &b.Processing, "parked": &b.Parked, "disputed": &b.Disputed,
		"due": &b.RefundsDue, "stuck": &b.RefundsStuck, "refused": &b.RefundsFailed, "unknown": &b.RefundsUnknown,
		"pending": &b.RefundsPending, "by hand": &b.RefundsByHand, "other": &b.OtherAccounts,
	}
	rows, err := q.QueryContext(ctx, backlogSQL, account)
	if err != nil {
		return b, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var what string
		var w BacklogCount
		var milliseconds int64
		if err := rows.Scan(&what, &w.Count, &w.Oldest, &milliseconds); err != nil {
			return b, err
		}
		part, ok := parts[what]
		if !ok {
			return b, fmt.Errorf("backlog has an unknown part %q", what)
		}
		w.Oldest, w.Age = w.Oldest.UTC(), time.Duration(milliseconds)*time.Millisecond
		*part = w
	}
	return b, rows.Err()
}

const needingAttentionSQL = `SELECT ` + paymentColumns + ` FROM booking_platform.payments p
WHERE ((` + waitsParkedSQL + `) OR (` + waitsDisputedSQL +
	`)) AND p.account IN ('', $2::text) ORDER BY p.id DESC LIMIT $1::int`

// NeedingAttention returns up to 500 parked or disputed payments for an operator, newest
// first. One round trip.
func (p *Payments) NeedingAttention(ctx context.Context) ([]Payment, error) {
	var out []Payment
	err := p.read(ctx, "list payments needing attention", func(q booking.Querier) error {
		out = nil
		rows, err := q.QueryContext(ctx, needingAttentionSQL, 500, p.account)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			pay, err := scanPayment(rows)
			if err != nil {
				return err
			}
			out = append(out, pay)
		}
		return rows.Err()
	})
	return out, err
}
