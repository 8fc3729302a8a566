package payments

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/stripe/stripe-go/v76"
)

const (
	refundPages = 50
	// refundsFor: banks return a refund within 30 days
	// (https://docs.stripe.com/refunds#failed-refunds).
	refundsFor = 30 * 24 * time.Hour
)

// A refund is new if no row has its id with at least its status. Locked payments are left
// to the next run.
const markRefundedSQL = `
WITH listed AS (
	SELECT t.id, t.intent, t.status FROM jsonb_to_recordset($1::jsonb) AS t (id text, intent text, status text)
), news AS (
	SELECT p.id FROM booking_platform.payments p
	WHERE p.stripe_payment_intent_id = ANY (ARRAY(SELECT l.intent FROM listed l)) AND p.refunds_unknown = 0
		AND p.account IN ('', $2::text)
	AND EXISTS (
		SELECT FROM listed l WHERE l.intent = p.stripe_payment_intent_id AND NOT EXISTS (
			SELECT FROM booking_platform.refunds r WHERE r.stripe_refund_id = l.id
			AND array_position('{due,pending,succeeded,failed,canceled}'::text[], r.status)
				>= array_position('{due,pending,succeeded,failed,canceled}'::text[], l.status)))
	FOR UPDATE OF p SKIP LOCKED
)
UPDATE booking_platform.payments AS p SET refunds_unknown = p.refunds_unknown + 1
FROM news n WHERE p.id = n.id`

// Pending refunds that Stripe's list no longer reaches are read once a day.
const markPendingSQL = `
UPDATE booking_platform.payments AS p SET refunds_unknown = p.refunds_unknown + 1
WHERE p.refunds_unknown = 0 AND p.account IN ('', $2::text) AND p.id IN (
	SELECT r.payment_id FROM booking_platform.refunds r
	WHERE r.status = 'pending' AND r.created_at < statement_timestamp() - make_interval(secs => $1::int)
	AND r.updated_at < statement_timestamp() - interval '1 day')`

// DiscoverRefunds is a step that lists the refunds of the last 30 days at Stripe and marks
// payments with new ones, made in the dashboard or returned by a bank without an event,
// for [Payments.RefreshRefunds]. Run it every 15 minutes. It returns how many payments it
// marked.
//
// It reads at most 5,000 refunds, newest first, with one call and one round trip per 100.
// Safe on every replica at once. If Stripe does not answer the error is [ErrUnavailable].
func (p *Payments) DiscoverRefunds(ctx context.Context) (int, error) {
	ctx = inBackground(ctx)
	found, err := p.markPending(ctx)
	if err != nil {
		return 0, err
	}
	after := ""
	for range refundPages {
		if p.paused() {
			break
		}
		page, err := p.refundPage(ctx, after)
		if err != nil {
			return found, p.unavailable(ctx, "list recent refunds", "", err)
		}
		if len(page.Data) > 0 {
			n, err := p.markRefunded(ctx, page.Data)
			if err != nil {
				return found, err
			}
			found += n
			after = page.Data[len(page.Data)-1].ID
		}
		if !page.HasMore || len(page.Data) == 0 {
			break
		}
	}
	return found, nil
}

// For refunds that are pending for longer than Stripe's list reaches.
func (p *Payments) markPending(ctx context.Context) (int, error) {
	var n int64
	err := p.inTxRetry(ctx, "mark pending refunds", func(q *sql.Tx) error {
		result, err := q.ExecContext(ctx, markPendingSQL, int(refundsFor/time.Second), p.account)
		if err != nil {
			return err
		}
		n, err = result.RowsAffected()
		return err
	})
	return int(n), err
}

func (p *Payments) refundPage(ctx context.Context, after string) (*stripe.RefundList, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	since := time.Now().Add(-refundsFor).Unix()
	params := &stripe.RefundListParams{CreatedRange: &stripe.RangeQueryParams{GreaterThanOrEqual: since}}
	params.Context = ctx
	params.Limit = stripe.Int64(100)
	// The timeout is for one page.
	params.Single = true
	if after != "" {
		params.StartingAfter = stripe.String(after)
	}
	list := p.refundCalls.List(params)
	return list.RefundList(), list.Err()
}

func (p *Payments) markRefunded(ctx context.Context, page []*stripe.Refund) (int, error) {
	type listed struct {
		ID     string `json:"id"`
		Intent string `json:"intent"`
		Status string `json:"status"`
	}
	all := []listed{}
	for _, r := range page {
		t, err := parseRefund(r)
		// The account may have refunds without a PaymentIntent.
		if err != nil || r.PaymentIntent == nil {
			continue
		}
		all = append(all, listed{t.id, r.PaymentIntent.ID, string(t.status)})
	}
	encoded, err := json.Marshal(all)
	if err != nil {
		return 0, fmt.Errorf("payments: encode the refunds: %w", err)
	}
	var n int64
	err = p.inTxRetry(ctx, "mark refunded payments", func(q *sql.Tx) error {
		result, err := q.ExecContext(ctx, markRefundedSQL, string(encoded), p.account)
		if err != nil {
			return err
		}
		n, err = result.RowsAffected()
		return err
	})
	return int(n), err
}

const leaseUnknownSQL = `
UPDATE booking_platform.payments AS p SET leased_until = statement_timestamp() + make_interval(secs => $1::int)
WHERE p.id = (
	SELECT o.id FROM booking_platform.payments o
	WHERE o.refunds_unknown > 0 AND o.account IN ('', $2::text)
		AND (o.leased_until IS NULL OR o.leased_until < statement_timestamp())
	ORDER BY o.id LIMIT 1
	FOR UPDATE SKIP LOCKED)
RETURNING p.id::text, p.booking_id::text, coalesce(p.stripe_payment_intent_id, ''),
	coalesce(p.stripe_session_id, ''), p.refunds_unknown`

// If more was heard meanwhile, the payment is read once more.
const knownSQL = `
UPDATE booking_platform.payments AS p
SET refunds_unknown = CASE WHEN p.refunds_unknown = $2::int THEN 0 ELSE p.refunds_unknown END, leased_until = NULL
WHERE p.id = $1::uuid`

const unknownSQL = `
UPDATE booking_platform.payments AS p SET refunds_unknown = p.refunds_unknown + 1 WHERE p.id = $1::uuid`

// RefreshRefunds is a step that reads refunds from Stripe for payments of which more was
// refunded than the rows account for. Run it every few seconds. It returns how many
// payments it read, at most 20. With nothing to do it takes one transaction of one
// statement.
//
// Each payment is leased before the call, outside any transaction, so the step is safe on
// every replica. It continues after a failure, which is retried after two minutes, and
// returns the failures joined.
func (p *Payments) RefreshRefunds(ctx context.Context) (int, error) {
	ctx = inBackground(ctx)
	asked := 0
	var failures []error
	for range refundBatch {
		if p.paused() {
			break
		}
		var d dueRefund
		var heard int
		err := p.inTxRetry(ctx, "lease a payment to refresh", func(q *sql.Tx) error {
			return q.QueryRowContext(ctx, leaseUnknownSQL, refundLease, p.account).Scan(&d.paymentID, &d.bookingID,
				&d.intent, &d.session, &heard)
		})
		if errors.Is(err, sql.ErrNoRows) {
			break
		}
		if err == nil {
			if err = p.refreshRefunds(ctx, d, heard); err == nil {
				asked++
			}
		}
		if err != nil {
			failures = append(failures, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return asked, errors.Join(failures...)
}

func (p *Payments) refreshRefunds(ctx context.Context, d dueRefund, heard int) error {
	ctx = actingAs(ctx, "payments")
	callCtx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	var all []stripeRefund
	err := p.findIntent(callCtx, &d)
	if err == nil {
		all, err = p.refundsAtStripe(callCtx, d.intent)
	}
	if err != nil && !p.gone(err) {
		return p.unavailable(ctx, "list the refunds", d.paymentID, err)
	}
	return p.inTx(ctx, "record refunds", func(tx *sql.Tx) error {
		bookings := p.bookings.Tx(tx)
		b, err := bookings.Lock(ctx, d.bookingID)
		if err != nil {
			return err
		}
		return p.observe(ctx, tx, b.ID, func() error {
			if err := recordRefunds(ctx, tx, d.paymentID, all...); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, knownSQL, d.paymentID, heard); err != nil {
				return err
			}
			return p.cancelRefundedBooking(ctx, tx, bookings, d.paymentID, b.ID)
		})
	})
}
