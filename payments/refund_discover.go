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
	// refundPages is how many pages of 100 one run reads at most.
	refundPages = 50
	// refundsFor is for how long a refund may still change: banks send one back within 30
	// days (https://docs.stripe.com/refunds#failed-refunds).
	refundsFor = 30 * 24 * time.Hour
)

// A refund is news when no row tells of it, or only of a status before the one that it
// has. Of payments that somebody has in use the next run tells.
const markRefundedSQL = `
WITH listed AS (
	SELECT t.id, t.intent, t.status FROM jsonb_to_recordset($1::jsonb) AS t (id text, intent text, status text)
), news AS (
	SELECT p.id FROM booking_platform.payments p
	WHERE p.stripe_payment_intent_id = ANY (ARRAY(SELECT l.intent FROM listed l)) AND p.refunds_unknown = 0 AND p.account IN ('', $2::text)
	AND EXISTS (
		SELECT FROM listed l WHERE l.intent = p.stripe_payment_intent_id AND NOT EXISTS (
			SELECT FROM booking_platform.refunds r WHERE r.stripe_refund_id = l.id
			AND array_position('{due,pending,succeeded,failed,canceled}'::text[], r.status) >= array_position('{due,pending,succeeded,failed,canceled}'::text[], l.status)))
	FOR UPDATE OF p SKIP LOCKED
)
UPDATE booking_platform.payments AS p SET refunds_unknown = p.refunds_unknown + 1
FROM news n WHERE p.id = n.id`

// What Stripe's list does not reach any more and is on its way still is asked about once
// a day.
const markPendingSQL = `
UPDATE booking_platform.payments AS p SET refunds_unknown = p.refunds_unknown + 1
WHERE p.refunds_unknown = 0 AND p.account IN ('', $2::text) AND p.id IN (
	SELECT r.payment_id FROM booking_platform.refunds r
	WHERE r.status = 'pending' AND r.created_at < statement_timestamp() - make_interval(secs => $1::int)
	AND r.updated_at < statement_timestamp() - interval '1 day')`

// DiscoverRefunds is one step: it lists, at Stripe, the refunds of the last 30 days, and has
// those of which no event told looked up by [Payments.RefreshRefunds]: so one that was
// made by hand, or that a bank has sent back, is known here though Stripe never made its
// event. Run it every quarter of an hour. It returns how many payments there is news of.
//
// It reads 5,000 refunds at most, the newest first, a page of 100 in one call and one
// round trip; no transaction is open while Stripe is asked. It is safe on every replica
// at once. What Stripe does not answer is [ErrUnavailable]. It ends with ctx.
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
			return found, p.unavailable(ctx, "list the refunds of late", "", err)
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

// markPending has payments looked up whose refund is on its way for longer than the list
// reaches.
func (p *Payments) markPending(ctx context.Context) (int, error) {
	var n int64
	err := p.inTxRetry(ctx, "mark refunds that are on their way", func(q *sql.Tx) error {
		result, err := q.ExecContext(ctx, markPendingSQL, int(refundsFor/time.Second), p.account)
		if err != nil {
			return err
		}
		n, err = result.RowsAffected()
		return err
	})
	return int(n), err
}

// refundPage reads the page that begins after a refund.
func (p *Payments) refundPage(ctx context.Context, after string) (*stripe.RefundList, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	params := &stripe.RefundListParams{CreatedRange: &stripe.RangeQueryParams{GreaterThanOrEqual: time.Now().Add(-refundsFor).Unix()}}
	params.Context = ctx
	params.Limit = stripe.Int64(100)
	// The time limit is for one page.
	params.Single = true
	if after != "" {
		params.StartingAfter = stripe.String(after)
	}
	list := p.refundCalls.List(params)
	return list.RefundList(), list.Err()
}

// markRefunded notes which payments have refunds that are news.
func (p *Payments) markRefunded(ctx context.Context, page []*stripe.Refund) (int, error) {
	type listed struct {
		ID     string `json:"id"`
		Intent string `json:"intent"`
		Status string `json:"status"`
	}
	all := []listed{}
	for _, r := range page {
		t, err := parseRefund(r)
		// Other things of the account's owner can be refunds without a PaymentIntent.
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
	err = p.inTxRetry(ctx, "mark payments that were refunded", func(q *sql.Tx) error {
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
	WHERE o.refunds_unknown > 0 AND o.account IN ('', $2::text) AND (o.leased_until IS NULL OR o.leased_until < statement_timestamp())
	ORDER BY o.id LIMIT 1
	FOR UPDATE SKIP LOCKED)
RETURNING p.id::text, p.booking_id::text, coalesce(p.stripe_payment_intent_id, ''), coalesce(p.stripe_session_id, ''), p.refunds_unknown`

// What was heard of since Stripe was asked is asked about once more.
const knownSQL = `
UPDATE booking_platform.payments AS p
SET refunds_unknown = CASE WHEN p.refunds_unknown = $2::int THEN 0 ELSE p.refunds_unknown END, leased_until = NULL
WHERE p.id = $1::uuid`

const unknownSQL = `UPDATE booking_platform.payments AS p SET refunds_unknown = p.refunds_unknown + 1 WHERE p.id = $1::uuid`

// RefreshRefunds is one step: it asks Stripe for the refunds of payments of which
// something is known to have gone back and not by which refund, and records them. Run it
// every few seconds. It returns how many payments it asked about, 20 at most; nothing to
// do is one round trip that reads one small index.
//
// Each payment is leased in the database before the call, so the step is safe on every
// replica at once, and no transaction is open while Stripe is asked. It goes on after one
// that failed, which is asked about again after two minutes, and returns what failed; it
// ends with ctx.
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
		err := p.inTxRetry(ctx, "lease a payment to look up", func(q *sql.Tx) error {
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
