package payments

import (
	"context"
	"database/sql"
	"errors"
)

// FailureDisputeLost is the Failure of a refund that was due and is not any more: a
// dispute took the money, and so gave it to the customer. Its status is RefundCanceled.
const FailureDisputeLost = "dispute_lost"

// What was due when a dispute was lost is lowered to what still is: never more than is
// left of the payment, and of what a cancellation gives back the part that the dispute
// did not. A refund in the place of another that failed is for what the first one was
// for.
const lowerByLossSQL = `
WITH RECURSIVE chain AS (
	SELECT r.id, r.payment_id, r.origin, r.cause FROM booking_platform.refunds r WHERE r.id = $1::uuid
	UNION ALL
	SELECT o.id, o.payment_id, o.origin, o.cause FROM chain c
	JOIN booking_platform.refunds o ON c.origin = '` + string(OriginRetry) + `' AND o.payment_id = c.payment_id AND c.cause = 'retry:' || o.id::text
), due AS (
	SELECT r.id, LEAST(
		p.captured_minor - p.dispute_lost_minor - (SELECT coalesce(sum(o.amount_minor), 0) FROM booking_platform.refunds o
			WHERE o.payment_id = r.payment_id AND o.id <> r.id AND o.status NOT IN ('failed', 'canceled')),
		CASE WHEN b.status = 'cancelled' AND EXISTS (SELECT FROM chain c WHERE c.origin = '` + string(OriginPayments) + `' AND c.cause = '` + CauseCancelled + `')
			THEN coalesce(b.refund_minor, 0) - p.dispute_lost_minor ELSE r.amount_minor END
	) AS amount
	FROM booking_platform.refunds r JOIN booking_platform.payments p ON p.id = r.payment_id JOIN booking_platform.bookings b ON b.id = p.booking_id
	WHERE r.id = $1::uuid AND r.status = 'due' AND r.attempt = $2::int AND p.disputes_open = 0
)
UPDATE booking_platform.refunds AS r SET
	amount_minor = CASE WHEN d.amount > 0 THEN d.amount ELSE r.amount_minor END,
	status = CASE WHEN d.amount > 0 THEN r.status ELSE 'canceled' END,
	failure = CASE WHEN d.amount > 0 THEN r.failure ELSE '` + FailureDisputeLost + `' END,
	attempt = r.attempt + 1, first_called_at = statement_timestamp(), updated_at = statement_timestamp()
FROM due d WHERE r.id = d.id AND d.amount < r.amount_minor
RETURNING r.status, r.amount_minor, r.attempt`

// afterLoss fits a refund that is to be made to what a lost dispute took of its payment;
// false when nothing is left to make of it, because it was made before or is due no more.
// One that may have been made under its old amount is looked for at Stripe first.
func (p *Payments) afterLoss(ctx context.Context, d *dueRefund) (goOn bool, err error) {
	if d.tries > 1 {
		callCtx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
		defer cancel()
		if err := p.findIntent(callCtx, d); err != nil {
			return false, err
		}
		all, made, err := p.findRefund(callCtx, *d)
		if err != nil {
			return false, err
		}
		if made {
			return false, p.noteAfterCall(ctx, *d, all)
		}
	}
	goOn = true
	err = p.inTx(ctx, "lower a refund by what was lost", func(tx *sql.Tx) error {
		return p.watch(ctx, tx, d.bookingID, func() error {
			if err := lockPayment(ctx, tx, d.paymentID); err != nil {
				return err
			}
			var status RefundStatus
			err := tx.QueryRowContext(ctx, lowerByLossSQL, d.id, d.attempt).Scan(&status, &d.amount.Minor, &d.attempt)
			if errors.Is(err, sql.ErrNoRows) {
				return nil
			}
			if err != nil {
				return err
			}
			goOn = status == RefundDue
			_, err = tx.ExecContext(ctx, sumRefundsSQL, d.paymentID)
			return err
		})
	})
	return goOn && err == nil, err
}
