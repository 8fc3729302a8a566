package payments

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/booking-platform/booking-platform/webhook"
)

const intentSucceeded = "payment_intent.succeeded"

// intentSteps are the handlers of adopted PaymentIntents by type. A declined card is not
// the end: the customer can try again until the hold ends.
func (p *Payments) intentSteps() map[string]func(context.Context, lockedEvent) (webhook.Outcome, error) {
	return map[string]func(context.Context, lockedEvent) (webhook.Outcome, error){
		intentSucceeded:                 p.handleCompleted,
		"payment_intent.processing":     p.handleIntentProcessing,
		"payment_intent.payment_failed": p.handleIntentFailed,
		"payment_intent.canceled":       p.handleExpired,
	}
}

// intentObject has the fields used of
// https://docs.stripe.com/api/payment_intents/object.
type intentObject struct {
	ID             string   `json:"id"`
	Status         string   `json:"status"`
	Amount         *int64   `json:"amount"`
	AmountReceived int64    `json:"amount_received"`
	Currency       string   `json:"currency"`
	LatestCharge   chargeID `json:"latest_charge"`
	Metadata       struct {
		BookingID string `json:"booking_id"`
		PaymentID string `json:"payment_id"`
	} `json:"metadata"`
}

// chargeID is the id of a charge that may be expanded, or empty.
type chargeID string

func (c *chargeID) UnmarshalJSON(b []byte) error {
	var id string
	if json.Unmarshal(b, &id) != nil {
		var o struct {
			ID string `json:"id"`
		}
		_ = json.Unmarshal(b, &o)
		id = o.ID
	}
	if id == "" || stripeID(id, "ch_") || stripeID(id, "py_") {
		*c = chargeID(id)
	}
	return nil
}

// asSession returns what a Checkout Session of the same payment would show.
func (o intentObject) asSession() checkoutSession {
	s := checkoutSession{PaymentStatus: "unpaid", AmountTotal: o.Amount, Currency: strings.ToLower(o.Currency)}
	if o.Status == "succeeded" {
		s.PaymentStatus, s.AmountTotal = "paid", &o.AmountReceived
	}
	return s
}

const matchAdoptedSQL = `SELECT ` + paymentColumns + `,
	(SELECT b.status = 'expired' FROM booking_platform.bookings b WHERE b.id = p.booking_id)
FROM booking_platform.payments p WHERE p.stripe_payment_intent_id = $1 AND p.kind = 'intent'`

// handleAdopted matches a PaymentIntent event to the payment that adopted it, locks the
// booking and calls step. The PaymentIntent of a Checkout Session is ignored: the
// session's events tell the same.
func (p *Payments) handleAdopted(step func(context.Context, lockedEvent) (webhook.Outcome, error)) webhook.Handler {
	return func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		var o intentObject
		if json.Unmarshal(ev.Object, &o) != nil || ev.PaymentIntentID == "" {
			return webhook.Ignored, nil
		}
		var expired bool
		pay, err := scanPayment(alsoScan{tx.QueryRowContext(ctx, matchAdoptedSQL, ev.PaymentIntentID), &expired})
		if errors.Is(err, sql.ErrNoRows) {
			return o.notAdopted(), nil
		}
		if err != nil {
			return "", fmt.Errorf("payments: match %s: %w", ev.Type, err)
		}
		lock := p.bookings.Tx(tx).Lock
		if expired {
			// As in handle.
			lock = p.bookings.Tx(tx).LockWithResource
		}
		return p.withLockedBooking(ctx, tx, ev, pay, lock,
			func(ctx context.Context, e lockedEvent) (webhook.Outcome, error) {
				e.session, e.charge = o.asSession(), string(o.LatestCharge)
				return step(ctx, e)
			})
	}
}

// notAdopted returns the outcome of an event that no payment adopted. With a booking's id
// in the metadata it may still be; a payment's id is that of a Checkout Session.
func (o intentObject) notAdopted() webhook.Outcome {
	if uuid.Validate(o.Metadata.BookingID) != nil || uuid.Validate(o.Metadata.PaymentID) == nil {
		return webhook.Ignored
	}
	return webhook.Unmatched
}

// Sets the state of a charge and returns whether all charges by a delayed method have
// failed. An event without a charge leaves a state that only Stripe's answer ends.
const recordChargeSQL = `
UPDATE booking_platform.payments AS p SET
	completed = p.completed OR $3::boolean,
	charge_states = CASE WHEN $3::boolean THEN jsonb_build_object($2::text, 'processing') || p.charge_states
		WHEN $2::text = '' THEN p.charge_states
		ELSE p.charge_states || jsonb_build_object($2::text, 'failed') END,
	updated_at = statement_timestamp()
WHERE p.id = $1::uuid
RETURNING p.completed AND p.captured_minor = 0
	AND NOT EXISTS (SELECT FROM jsonb_each_text(p.charge_states) AS c WHERE c.value = 'processing')`

func (e lockedEvent) recordCharge(ctx context.Context, processing bool) (over bool, err error) {
	err = e.tx.QueryRowContext(ctx, recordChargeSQL, e.payment.ID, e.charge, processing).Scan(&over)
	return over, err
}

// handleIntentProcessing handles a delayed payment method of a PaymentIntent, unless its
// failure is known already.
func (p *Payments) handleIntentProcessing(ctx context.Context, e lockedEvent) (webhook.Outcome, error) {
	over, err := e.recordCharge(ctx, true)
	if err != nil {
		return "", err
	}
	if over {
		return p.handleAsyncFailed(ctx, e)
	}
	e.session.PaymentStatus = "unpaid"
	return p.handleCompleted(ctx, e)
}

// handleIntentFailed ends a delayed payment. A card that was declined changes nothing.
func (p *Payments) handleIntentFailed(ctx context.Context, e lockedEvent) (webhook.Outcome, error) {
	over, err := e.recordCharge(ctx, false)
	if err != nil {
		return "", err
	}
	if over {
		return p.handleAsyncFailed(ctx, e)
	}
	return webhook.Processed, nil
}

// intentBegun returns when the customer began to pay with a PaymentIntent that succeeded:
// at the event, or for a delayed method at an unknown time before it.
func (e lockedEvent) intentBegun(ctx context.Context) (time.Time, error) {
	var delayed bool
	err := e.tx.QueryRowContext(ctx,
		`SELECT jsonb_exists(p.charge_states, $2::text) FROM booking_platform.payments p WHERE p.id = $1::uuid`,
		e.payment.ID, e.charge).Scan(&delayed)
	if err != nil || delayed {
		return time.Time{}, err
	}
	return e.event.Created, nil
}
