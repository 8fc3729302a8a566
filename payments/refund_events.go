package payments

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/webhook"
)

// Refunds and disputes name the PaymentIntent; ours name the payment in their metadata
// too, which is there before the PaymentIntent is known. One that names both is matched
// by its PaymentIntent.
const matchIntentSQL = `SELECT ` + paymentColumns + ` FROM booking_platform.payments p
WHERE (p.stripe_payment_intent_id = $1::text AND $1::text <> '')
   OR (p.id = $2::uuid AND ($1::text = '' OR p.stripe_payment_intent_id IS NULL))
ORDER BY p.stripe_payment_intent_id NULLS LAST LIMIT 1`

// handleIntent finds the payment that an event about a charge, a refund or a dispute is
// of, locks its booking, and then lets the step decide. What matches nothing is
// unmatched: the payment's own event may still come.
func (p *Payments) handleIntent(step func(context.Context, arrival) (webhook.Outcome, error)) webhook.Handler {
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
		return p.arrive(ctx, tx, ev, pay, p.bookings.Tx(tx).Lock, step)
	}
}

// refundTold handles what Stripe tells of one refund.
func (p *Payments) refundTold(ctx context.Context, a arrival) (webhook.Outcome, error) {
	var r stripe.Refund
	if err := json.Unmarshal(a.event.Object, &r); err != nil {
		// Sent again it would be the same.
		return webhook.Unmatched, nil
	}
	t, err := toldBy(&r)
	if err != nil {
		return webhook.Unmatched, nil
	}
	if err := note(ctx, a.tx, a.payment.ID, t); err != nil {
		return "", err
	}
	return webhook.Processed, p.settleBooking(ctx, a.tx, a.bookings, a.payment.ID, a.booking.ID)
}

// A charge tells how much of it went back and, since API version 2022-11-15, no longer by
// which refunds. Where that is more than the rows say, they are looked up by a step.
const refundsUnknownSQL = `
UPDATE booking_platform.payments AS p SET
	refunds_unknown = p.refunds_unknown + (p.refunded_minor < $2::bigint)::integer,
	stripe_payment_intent_id = coalesce(p.stripe_payment_intent_id, nullif($3::text, '')), updated_at = statement_timestamp()
WHERE p.id = $1::uuid`

// chargeRefunded handles the news that something of a charge went back.
func (p *Payments) chargeRefunded(ctx context.Context, a arrival) (webhook.Outcome, error) {
	var charge struct {
		AmountRefunded int64 `json:"amount_refunded"`
	}
	if json.Unmarshal(a.event.Object, &charge) != nil {
		return webhook.Unmatched, nil
	}
	_, err := a.tx.ExecContext(ctx, refundsUnknownSQL, a.payment.ID, charge.AmountRefunded, a.event.PaymentIntentID)
	return webhook.Processed, err
}
