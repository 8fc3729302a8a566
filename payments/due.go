package payments

import (
	"context"
	"database/sql"
	"errors"

	"github.com/booking-platform/booking-platform/booking"
)

const dueSQL = `
SELECT p.unapplied, p.dispute_lost_minor, p.captured_minor - p.dispute_lost_minor - p.refund_committed,
	CASE WHEN b.status = 'cancelled' THEN coalesce(b.refund_minor, 0) ELSE 0 END
FROM booking_platform.payments p JOIN booking_platform.bookings b ON b.id = p.booking_id
WHERE p.id = $1::uuid AND p.captured_minor > 0 AND NOT p.parked AND p.disputes_open = 0`

// makeDue commits to what must go back of a payment and is not committed to yet: all that
// is left of money that was not applied, and of a cancelled booking what its cancellation
// gives back. What a lost dispute took has reached the customer already and counts
// towards that. While a dispute is open nothing is committed to; the event that closes it
// calls this again.
//
// It may be called after any change, and more than once: the cause makes each refund
// unique. The booking is locked. reason and actor are kept with the refund.
func makeDue(ctx context.Context, q booking.Querier, paymentID, reason, actor string) error {
	var cause string
	var lost, left, promised int64
	err := q.QueryRowContext(ctx, dueSQL, paymentID).Scan(&cause, &lost, &left, &promised)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	amount := left
	if cause == "" {
		cause, amount = CauseCancelled, min(left, promised-lost)
	}
	if amount <= 0 {
		return nil
	}
	_, err = makeIntent(ctx, q, RefundRequest{PaymentID: paymentID, Amount: amount, Cause: cause, Reason: reason,
		Actor: actor})
	if errors.Is(err, ErrNothingToRefund) || errors.Is(err, ErrDisputed) {
		err = nil
	}
	return err
}
