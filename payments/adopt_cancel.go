package payments

import (
	"context"
	"database/sql"
	"errors"

	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/webhook"
)

// Leases an adopted PaymentIntent whose hold is gone, or whose delayed payment failed.
const leaseIntentSQL = `
UPDATE booking_platform.payments AS p SET leased_until = statement_timestamp() + make_interval(secs => $1::int)
FROM booking_platform.bookings h
WHERE h.id = p.booking_id AND p.id = (
	SELECT o.id FROM booking_platform.payments o JOIN booking_platform.bookings b ON b.id = o.booking_id
	WHERE o.kind = 'intent' AND NOT o.expired AND o.captured_minor = 0 AND (NOT o.completed OR o.failed)
	AND (o.leased_until IS NULL OR o.leased_until < statement_timestamp())
	AND o.account IN ('', $2::text)
	AND (o.failed OR ` + notPayableSQL + `)
	ORDER BY o.session_expires_at LIMIT 1
	FOR UPDATE OF o SKIP LOCKED)
RETURNING p.id::text, p.booking_id::text, p.stripe_payment_intent_id,
	LEAST(lower(h.during), statement_timestamp() + interval '15 minutes')`

// cancelIntents cancels up to limit adopted PaymentIntents, so that no customer pays for
// a slot that others can take. With nothing to do it takes one round trip.
func (p *Payments) cancelIntents(ctx context.Context, limit int) (int, error) {
	ended := 0
	var failures []error
	for range limit {
		if p.paused() {
			break
		}
		var l leasedSession
		var intent string
		err := p.inTxRetry(ctx, "lease a PaymentIntent", func(q *sql.Tx) error {
			return q.QueryRowContext(ctx, leaseIntentSQL, expireLease, p.account).Scan(&l.paymentID, &l.bookingID,
				&intent, &l.keepUntil)
		})
		if errors.Is(err, sql.ErrNoRows) {
			break
		}
		if err != nil {
			return ended, errors.Join(append(failures, err)...)
		}
		ok, err := p.cancelIntent(ctx, l, intent)
		if err != nil {
			failures = append(failures, err)
		}
		if ok {
			ended++
		}
	}
	return ended, errors.Join(failures...)
}

// cancelIntent calls Stripe and records the answer. It reports whether the PaymentIntent
// is cancelled. If the customer has just paid, the payment wins.
func (p *Payments) cancelIntent(ctx context.Context, l leasedSession, intent string) (bool, error) {
	ctx = actingAs(ctx, "payments")
	callCtx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	pay, err := p.Get(ctx, l.paymentID)
	if err != nil {
		return false, err
	}
	params := &stripe.PaymentIntentCancelParams{
		CancellationReason: stripe.String(string(stripe.PaymentIntentCancellationReasonAbandoned)),
	}
	params.Context = callCtx
	// No idempotency key, as for sessions.
	if _, err := p.intents.Cancel(intent, params); err != nil {
		now, readErr := p.intentState(callCtx, pay)
		if readErr == nil && now.step == nil && pay.failed {
			// The customer tries again; the charge's end is an event.
			return false, nil
		}
		if readErr != nil || now.step == nil {
			return false, p.unavailable(ctx, "cancel the PaymentIntent", l.paymentID, err)
		}
		if !now.cancelled {
			if err := ignoreNotPending(p.bookings.Extend(ctx, l.bookingID, l.keepUntil)); err != nil {
				return false, err
			}
			_, err = p.reconcile(ctx, pay)
			return false, err
		}
	}
	err = p.inTx(ctx, "record a cancelled PaymentIntent", func(tx *sql.Tx) error {
		bookings := p.bookings.Tx(tx)
		b, err := bookings.Lock(ctx, l.bookingID)
		if err != nil {
			return err
		}
		return p.observe(ctx, tx, b.ID, func() error {
			_, err := p.handleExpired(ctx, lockedEvent{tx: tx, bookings: bookings, payment: pay, booking: b,
				event: webhook.Event{PaymentIntentID: intent}})
			return err
		})
	})
	return err == nil, err
}
