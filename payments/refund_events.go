package payments

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/webhook"
)

// Refunds and disputes name the PaymentIntent, which takes precedence; those of this
// service also name the payment in their metadata, before the PaymentIntent is known.
const matchIntentSQL = `SELECT ` + paymentColumns + ` FROM booking_platform.payments p
WHERE (p.stripe_payment_intent_id = $1::text AND $1::text <> '')
   OR (p.id = $2::uuid AND ($1::text = '' OR p.stripe_payment_intent_id IS NULL))
ORDER BY p.stripe_payment_intent_id NULLS LAST LIMIT 1`

// handleIntent matches a charge, refund or dispute to its payment, locks the booking and
// calls step.
func (p *Payments) handleIntent(step func(context.Context, lockedEvent) (webhook.Outcome, error)) webhook.Handler {
	return func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		ref, err := uuid.Parse(ev.Reference)
		if err != nil {
			ref = uuid.Nil
		}
		pay, err := scanPayment(tx.QueryRowContext(ctx, matchIntentSQL, ev.PaymentIntentID, ref.String()))
		if errors.Is(err, sql.ErrNoRows) {
			return webhook.Unmatched, nil
		}
		if err != nil {
			return "", fmt.Errorf("payments: match %s: %w", ev.Type, err)
		}
		return p.withLockedBooking(ctx, tx, ev, pay, p.bookings.Tx(tx).Lock, step)
	}
}

func (p *Payments) handleRefund(ctx context.Context, e lockedEvent) (webhook.Outcome, error) {
	var r stripe.Refund
	if err := json.Unmarshal(e.event.Object, &r); err != nil {
		// A retry would have the same result.
		return webhook.Unmatched, nil
	}
	t, err := parseRefund(&r)
	if err != nil {
		return webhook.Unmatched, nil
	}
	if err := recordRefunds(ctx, e.tx, e.payment.ID, t); err != nil {
		return "", err
	}
	return webhook.Processed, p.cancelRefundedBooking(ctx, e.tx, e.bookings, e.payment.ID, e.booking.ID)
}

// Since API version 2022-11-15 a charge says how much was refunded, not by which refunds.
// If that is more than the rows say, RefreshRefunds reads them.
const refundsUnknownSQL = `
UPDATE booking_platform.payments AS p SET
	refunds_unknown = p.refunds_unknown + (p.refunded_minor < $2::bigint)::integer,
	stripe_payment_intent_id = coalesce(p.stripe_payment_intent_id, nullif($3::text, '')),
		updated_at = statement_timestamp()
WHERE p.id = $1::uuid`

func (p *Payments) handleChargeRefunded(ctx context.Context, e lockedEvent) (webhook.Outcome, error) {
	var charge struct {
		AmountRefunded int64 `json:"amount_refunded"`
	}
	if json.Unmarshal(e.event.Object, &charge) != nil {
		return webhook.Unmatched, nil
	}
	_, err := e.tx.ExecContext(ctx, refundsUnknownSQL, e.payment.ID, charge.AmountRefunded, e.event.PaymentIntentID)
	return webhook.Processed, err
}

// stripeRefund is a refund in an answer, an event or a list.
type stripeRefund struct {
	id, failure string
	// waits is "requires_action" while Stripe waits for the customer.
	waits string
	// ours is the id of the refund's row from the metadata; uuid.Nil if made at Stripe.
	ours   string
	status RefundStatus
	amount booking.Money
}

// An unknown status counts as pending.
func parseRefund(r *stripe.Refund) (stripeRefund, error) {
	currency := strings.ToLower(string(r.Currency))
	if r.ID == "" || r.Amount <= 0 || !currencyCode.MatchString(currency) {
		return stripeRefund{}, errors.New("the answer is not a refund")
	}
	t := stripeRefund{
		id: r.ID, failure: string(r.FailureReason), ours: r.Metadata["refund_id"],
		status: RefundPending, amount: booking.Money{Minor: r.Amount, Currency: currency},
	}
	switch s := RefundStatus(r.Status); s {
	case RefundSucceeded, RefundFailed, RefundCanceled:
		t.status = s
	case RefundStatus(stripe.RefundStatusRequiresAction):
		t.waits = string(s)
	}
	if !isID(t.ours) {
		t.ours = uuid.Nil.String()
	}
	return t, nil
}

// A status only moves forward, whatever the order of reports. A refund may fail after it
// succeeded, but not the other way round
// (https://docs.stripe.com/refunds#failed-refunds). A row without Stripe's id is matched
// by its own, and takes Stripe's status even if a call was refused before.
const recordRefundSQL = `
UPDATE booking_platform.refunds AS r SET
	stripe_refund_id = $2::text,
	status = CASE WHEN r.stripe_refund_id IS NULL
			OR array_position('{due,pending,succeeded,failed,canceled}'::text[], r.status)
				< array_position('{due,pending,succeeded,failed,canceled}'::text[], $4::text)
		THEN $4::text ELSE r.status END,
	failure = CASE WHEN r.failure = '' THEN $5::text ELSE r.failure END,
	last_error = CASE WHEN r.status IN ('due', 'pending') THEN $6::text ELSE '' END, updated_at = statement_timestamp()
WHERE r.payment_id = $1::uuid AND (r.stripe_refund_id = $2::text OR (r.id = $3::uuid AND r.stripe_refund_id IS NULL))`

const adoptRefundSQL = `
INSERT INTO booking_platform.refunds AS r (id, payment_id, cause, amount_minor, currency, status, stripe_refund_id,
	failure, last_error, actor, origin)
VALUES ($1::uuid, $2::uuid, 'stripe:' || $3::text, $4::bigint, $5::text, $6::text, $3::text, $7::text, $8::text,
	'stripe', 'stripe')
ON CONFLICT DO NOTHING`

// The committed sum never exceeds what was captured, even if a refund at Stripe overtakes
// a due one, which Stripe then refuses.
const sumRefundsSQL = `
UPDATE booking_platform.payments AS p SET
	refunded_minor = s.refunded, refund_committed = LEAST(s.committed, GREATEST(p.amount_minor, p.captured_minor)),
	updated_at = statement_timestamp()
FROM (
	SELECT coalesce(sum(r.amount_minor) FILTER (WHERE r.status IN ('pending', 'succeeded')), 0) AS refunded,
	       coalesce(sum(r.amount_minor) FILTER (WHERE r.status NOT IN ('failed', 'canceled')), 0) AS committed
	FROM booking_platform.refunds r WHERE r.payment_id = $1::uuid
) s
WHERE p.id = $1::uuid`

// recordRefunds locks the payment, so the sums are right and a refund has one row,
// whether answer or event comes first.
func recordRefunds(ctx context.Context, q booking.Querier, paymentID string, refunds ...stripeRefund) error {
	if err := lockPayment(ctx, q, paymentID); err != nil {
		return err
	}
	for _, t := range refunds {
		result, err := q.ExecContext(ctx, recordRefundSQL, paymentID, t.id, t.ours, string(t.status), t.failure,
			t.waits)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n > 0 {
			if err != nil {
				return err
			}
			continue
		}
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("make an id: %w", err)
		}
		_, err = q.ExecContext(ctx, adoptRefundSQL, id.String(), paymentID, t.id, t.amount.Minor, t.amount.Currency,
			string(t.status), t.failure, t.waits)
		if err != nil {
			return err
		}
	}
	_, err := q.ExecContext(ctx, sumRefundsSQL, paymentID)
	return err
}

func lockPayment(ctx context.Context, q booking.Querier, id string) error {
	var captured booking.Money
	var committed int64
	var disputed bool
	err := q.QueryRowContext(ctx, lockPaymentSQL, id).Scan(&captured.Minor, &captured.Currency, &committed, &disputed)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}
