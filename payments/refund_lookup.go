package payments

import (
	"context"
	"database/sql"
	"errors"

	"github.com/booking-platform/booking-platform/booking"
)

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

// LookUpRefunds is one step: it asks Stripe for the refunds of payments of which
// something is known to have gone back and not by which refund, and records them. Run it
// every few seconds. It returns how many payments it asked about, 20 at most; nothing to
// do is one round trip that reads one small index.
//
// Each payment is leased in the database before the call, so the step is safe on every
// replica at once, and no transaction is open while Stripe is asked. It goes on after one
// that failed, which is asked about again after two minutes, and returns what failed; it
// ends with ctx.
func (p *Payments) LookUpRefunds(ctx context.Context) (int, error) {
	ctx = inBackground(ctx)
	asked := 0
	var failures []error
	for range refundBatch {
		if p.quiet() {
			break
		}
		var d dueRefund
		var heard int
		err := p.alone(ctx, "lease a payment to look up", func(q booking.Querier) error {
			return q.QueryRowContext(ctx, leaseUnknownSQL, refundLease, p.account).Scan(&d.paymentID, &d.bookingID,
				&d.intent, &d.session, &heard)
		})
		if errors.Is(err, sql.ErrNoRows) {
			break
		}
		if err == nil {
			if err = p.lookUpRefunds(ctx, d, heard); err == nil {
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

func (p *Payments) lookUpRefunds(ctx context.Context, d dueRefund, heard int) error {
	ctx = actingAs(ctx, "payments")
	callCtx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	var all []told
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
		return p.watch(ctx, tx, b.ID, func() error {
			if err := note(ctx, tx, d.paymentID, all...); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, knownSQL, d.paymentID, heard); err != nil {
				return err
			}
			return p.settleBooking(ctx, tx, bookings, d.paymentID, b.ID)
		})
	})
}
