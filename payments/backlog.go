package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// BacklogCount is how many of something there are, and since when there has been one. Times
// are UTC.
type BacklogCount struct {
	Count int
	// Oldest is since when the oldest of them waits, zero when there is none, and Age how
	// long ago that is, by the database's clock: an alarm belongs on it.
	Oldest time.Time
	Age    time.Duration
}

// Backlog is what the payments of one account have that is not done, of all replicas
// together.
type Backlog struct {
	// Overdue are open, although their Checkout Session has ended: since it did.
	// [Payments.ExpireSessions] and [Payments.ReconcilePayments] see to them.
	Overdue BacklogCount
	// Processing were completed by a delayed method whose money has not come: since the
	// last that was heard of them. That takes days.
	Processing BacklogCount
	// Parked wait for a person: since the last that was heard of them. One whose money
	// has gone back in full, or is due to, is not counted.
	Parked BacklogCount
	// Disputed have a dispute that is open: since the last that was heard of them. Parked
	// ones are counted here too.
	Disputed BacklogCount
	// RefundsDue have not been made at Stripe: since they were asked for.
	// [Payments.SettleRefunds] sees to them. RefundsStuck are those of them that Stripe
	// could not be brought to make in three tries. Refunds of a payment that is disputed
	// wait for that and are in neither.
	RefundsDue, RefundsStuck BacklogCount
	// RefundsPending were made at Stripe, and the money is on its way: since they were
	// asked for. That takes days, and longer where the account's balance does not cover
	// one, or where Stripe waits for the customer.
	RefundsPending BacklogCount
	// RefundsFailed were refused, by Stripe or by the customer's bank, or canceled at
	// Stripe: since then. One is done when a later refund of the same payment, of its
	// amount or more, or lost disputes of as much, have taken its place, or nothing is
	// left to give back.
	RefundsFailed BacklogCount
	// RefundsUnknown are payments of which something has gone back that no refund here
	// tells of: since the last change of the payment. [Payments.RefreshRefunds] sees to
	// them.
	RefundsUnknown BacklogCount
	// OtherAccounts are payments of other accounts or modes that are overdue, and refunds
	// of theirs that are due: since then. Only a process with their key and name takes
	// them.
	OtherAccounts BacklogCount
}

// What waits for a person: parked ones whose money has not gone back in full and is not
// about to, and disputes that are open.
const (
	waitsParkedSQL   = `p.parked AND CASE WHEN p.captured_minor = 0 THEN NOT p.failed AND NOT p.expired ELSE p.refund_committed + p.dispute_lost_minor < p.captured_minor END`
	waitsDisputedSQL = `p.disputes_open > 0`
	// What a refund of the payment p waits for, instead of a step: nothing is asked of
	// Stripe meanwhile.
	undisputedSQL = `EXISTS (SELECT FROM booking_platform.payments p WHERE p.id = r.payment_id AND p.disputes_open = 0)`
)

// Refunds that were refused, where neither a later one nor a lost dispute has taken their
// place, no dispute is open, and something is left to give back. OFFSET 0 keeps the
// planner from looking them up with several processes: to start those takes longer.
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

// Each part reads a small index in which nothing is that is settled: payments_waiting,
// payments_attention, payments_refunds_unknown, refunds_due, refunds_pending and
// refunds_failed; whose it is costs a look at each payment that waits.
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
	SELECT 'disputed', p.updated_at, p.id FROM booking_platform.payments p WHERE ` + waitsDisputedSQL + `
	UNION ALL
	SELECT 'due', r.created_at, r.payment_id FROM booking_platform.refunds r WHERE r.status = 'due' AND ` + undisputedSQL + `
	UNION ALL
	SELECT 'stuck', r.created_at, r.payment_id FROM booking_platform.refunds r WHERE r.status = 'due' AND r.tries >= 3 AND ` + undisputedSQL + `
	UNION ALL
	SELECT 'pending', r.created_at, r.payment_id FROM booking_platform.refunds r WHERE r.status = 'pending'
	UNION ALL
	SELECT 'refused', f.updated_at, f.payment_id FROM (` + waitsRefusedSQL + `) f
	UNION ALL
	SELECT 'unknown', p.updated_at, p.id FROM booking_platform.payments p WHERE p.refunds_unknown > 0
), whose AS (
	SELECT w.what, w.since, p.account IN ('', $1::text) AS ours FROM waits w JOIN booking_platform.payments p ON p.id = w.payment_id
), counted (what, since) AS (
	SELECT w.what, w.since FROM whose w WHERE w.ours
	UNION ALL
	SELECT 'other', w.since FROM whose w WHERE NOT w.ours AND w.what IN ('overdue', 'due')
)
SELECT w.what, count(*), min(w.since), GREATEST(0, extract(epoch FROM statement_timestamp() - min(w.since)) * 1000)::bigint
FROM counted w GROUP BY w.what`

// Backlog reads what the payments have that is not done, in one round trip. It reads what
// waits alone, however many payments are settled.
func (p *Payments) Backlog(ctx context.Context) (Backlog, error) {
	var b Backlog
	err := p.read(ctx, "read what waits", func(q booking.Querier) (err error) {
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
		"pending": &b.RefundsPending, "other": &b.OtherAccounts,
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
			return b, fmt.Errorf("what waits has an unknown part %q", what)
		}
		w.Oldest, w.Age = w.Oldest.UTC(), time.Duration(milliseconds)*time.Millisecond
		*part = w
	}
	return b, rows.Err()
}

const needingAttentionSQL = `SELECT ` + paymentColumns + ` FROM booking_platform.payments p
WHERE ((` + waitsParkedSQL + `) OR (` + waitsDisputedSQL +
	`)) AND p.account IN ('', $2::text) ORDER BY p.id DESC LIMIT $1::int`

// NeedingAttention returns the payments that a person should look at, the newest first, 500 at
// most: those that [Backlog] counts as parked and as disputed. One round trip.
func (p *Payments) NeedingAttention(ctx context.Context) ([]Payment, error) {
	var out []Payment
	err := p.read(ctx, "list troubled payments", func(q booking.Querier) error {
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

const byIDSQL = `SELECT ` + paymentColumns + ` FROM booking_platform.payments p WHERE p.id = $1::uuid`

// Get returns the payment with this id, or ErrNotFound. One round trip.
func (p *Payments) Get(ctx context.Context, id string) (Payment, error) {
	if !isID(id) {
		return Payment{}, ErrNotFound
	}
	return p.one(ctx, "by id", byIDSQL, id)
}

// Its key stays, so that a call which is under way all the same makes no second refund.
const tryNowSQL = `
UPDATE booking_platform.refunds AS r SET next_try_at = statement_timestamp(), updated_at = statement_timestamp()
WHERE r.id = $1::uuid AND r.status = 'due'
RETURNING ` + refundColumns

// Of a refund and those that were made in its place, the last.
const lastRetrySQL = `
WITH RECURSIVE chain AS (
	SELECT r.id, 0 AS nth FROM booking_platform.refunds r WHERE r.id = $1::uuid
	UNION ALL
	SELECT n.id, c.nth + 1 FROM chain c JOIN booking_platform.refunds n ON n.origin = 'retry' AND n.cause = 'retry:' || c.id::text
	WHERE n.payment_id = (SELECT f.payment_id FROM booking_platform.refunds f WHERE f.id = $1::uuid))
SELECT ` + refundColumns +
	` FROM booking_platform.refunds r WHERE r.id = (SELECT c.id FROM chain c ORDER BY c.nth DESC LIMIT 1)`

// RetryRefund has a refund tried again. One that is due is tried at once, by the next run
// of [Payments.SettleRefunds], rather than when its pause is over. In the place of one
// that failed or was canceled another is made, which is returned: of its amount, or of
// what is left where that is less. Its cause is "retry:" with the id of the first, so
// that a repeat answers the same until that one has failed too. What is on its way or has
// succeeded is returned as it is. actor is who asks, as in [RefundRequest].
//
// Errors: [ErrNotFound]; [ErrDisputed], with the refund that is due after the dispute;
// and of what failed those of [Payments.Refund]. A transaction of one or two statements,
// and for what failed another of four.
func (p *Payments) RetryRefund(ctx context.Context, refundID, actor string) (Refund, error) {
	if !isID(refundID) {
		return Refund{}, ErrNotFound
	}
	var r Refund
	err := p.inTxRetry(ctx, "find a refund to try again", func(q *sql.Tx) error {
		found, ok, err := queryRefund(ctx, q, lastRetrySQL, refundID)
		if err == nil && !ok {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		r = found
		if r.Status != RefundDue {
			return nil
		}
		if found, ok, err = queryRefund(ctx, q, tryNowSQL, r.ID); ok {
			r = found
		}
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return Refund{}, ErrNotFound
	}
	if err == nil && r.Status == RefundDue {
		pay, err := p.Get(ctx, r.PaymentID)
		if err == nil && pay.OpenDisputes > 0 {
			err = ErrDisputed
		}
		return r, err
	}
	if err != nil || (r.Status != RefundFailed && r.Status != RefundCanceled) {
		return r, err
	}
	if r.Failure == FailureDisputeLost {
		// The customer has it from the bank.
		return r, ErrNothingToRefund
	}
	req := RefundRequest{PaymentID: r.PaymentID, Amount: r.Amount.Minor, Cause: "retry:" + r.ID, Reason: r.Reason,
		Actor: actor}
	err = p.inTx(ctx, "make a refund in the place of another", func(tx *sql.Tx) error {
		return p.observePayment(ctx, tx, req.PaymentID, func() (err error) {
			r, err = createIntentOf(ctx, tx, OriginRetry, req)
			return err
		})
	})
	return r, err
}
