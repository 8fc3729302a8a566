package payments

import (
	"context"
	"log/slog"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/webhook"
)

// unapplied records money that cannot be applied to its booking, and why, and commits to
// give it back in full: once, because the reason is the refund's cause. While a dispute
// of it is open it only records; makeDue follows when that is over. The booking stays as
// it is.
func (p *Payments) unapplied(ctx context.Context, a arrival, reason string) (webhook.Outcome, error) {
	if p.opts.ParkUnapplied {
		return p.park(ctx, a, reason)
	}
	if err := a.record(ctx, facts{completed: true, captured: a.payment.Amount, unapplied: reason}); err != nil {
		return "", err
	}
	if err := makeDue(ctx, a.tx, a.payment.ID, "", "stripe:"+a.event.ID); err != nil {
		return "", err
	}
	p.log.LogAttrs(ctx, slog.LevelWarn, "payment cannot be applied and is refunded",
		slog.String("payment_id", a.payment.ID),
		slog.String("booking_id", a.booking.ID), slog.String("reason", reason))
	return webhook.Processed, nil
}

// A booking that was refunded in full, and not by us alone: somebody at Stripe has
// decided that it is off.
const calledOffSQL = `
SELECT p.captured_minor > 0 AND p.refunded_minor >= p.captured_minor AND NOT p.parked AND p.unapplied = ''
   AND EXISTS (SELECT FROM booking_platform.refunds r
               WHERE r.payment_id = p.id AND r.origin = 'stripe' AND r.status IN ('pending', 'succeeded')),
       lower(b.during) > statement_timestamp()
FROM booking_platform.payments p JOIN booking_platform.bookings b ON b.id = p.booking_id WHERE p.id = $1::uuid`

// settleBooking cancels a booking that lies ahead when it was refunded in full at Stripe.
// It is asked after every event of a payment and of its refunds, so that it makes no
// difference which of them comes first. The booking is locked.
func (p *Payments) settleBooking(ctx context.Context, q booking.Querier, bookings *booking.Tx, paymentID,
	bookingID string) error {
	if p.opts.KeepRefunded {
		return nil
	}
	var off, ahead bool
	err := q.QueryRowContext(ctx, calledOffSQL, paymentID).Scan(&off, &ahead)
	if err != nil || !off || !ahead {
		return err
	}
	b, err := bookings.Get(ctx, bookingID)
	if err != nil || b.Status != booking.Confirmed {
		return err
	}
	_, err = bookings.Cancel(ctx, booking.CancelRequest{ID: bookingID, Reason: "refunded in full at Stripe"})
	return err
}
