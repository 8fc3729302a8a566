package payments

import (
	"context"
	"database/sql"
	"errors"

	"github.com/booking-platform/booking-platform/booking"
)

// Cancel cancels a booking as booking.Store.Cancel does, and in the same transaction
// commits to the refund that follows: by the booking's policy for a customer, or as staff
// decide. [Payments.SettleRefunds] makes it at Stripe. A repeat returns the cancelled
// booking and refunds nothing more.
//
//   - At most what was not refunded before is refunded.
//   - While a dispute is open no refund is committed, since the bank may return the
//     money. After it, what the dispute did not take is refunded automatically; until
//     then the booking's Refund is a decision, not a promise.
//   - The policy also binds customers whose delayed payment method is pending
//     (booking.ErrPolicy). If money comes after a customer has cancelled a hold, the
//     policy's fee at that time is kept; all is refunded if the customer paid after
//     cancelling, or if staff cancelled.
//
// The errors are those of booking.Store.Cancel. Safe on several replicas at once and
// beside events. Nine to eleven round trips.
func (p *Payments) Cancel(ctx context.Context, req booking.CancelRequest) (booking.Booking, error) {
	var b booking.Booking
	err := p.inTxRetry(ctx, "cancel", func(tx *sql.Tx) (err error) {
		if _, err := p.bookings.Tx(tx).Lock(ctx, req.ID); err != nil {
			return err
		}
		return p.observe(ctx, tx, req.ID, func() (err error) {
			b, err = p.cancel(ctx, tx, req)
			return err
		})
	})
	return b, err
}

// The booking is locked.
const appliedPaymentSQL = `
SELECT p.id::text FROM booking_platform.payments p
WHERE p.booking_id = $1::uuid AND p.captured_minor > 0 AND NOT p.parked AND p.unapplied = '' ORDER BY p.id LIMIT 1`

// A delayed payment method is pending, or its money came and is parked.
const payingSQL = `
SELECT EXISTS (SELECT FROM booking_platform.payments p WHERE p.booking_id = $1::uuid AND p.completed AND NOT p.failed)`

func (p *Payments) cancel(ctx context.Context, tx *sql.Tx, req booking.CancelRequest) (booking.Booking, error) {
	if !req.Paying {
		if err := tx.QueryRowContext(ctx, payingSQL, req.ID).Scan(&req.Paying); err != nil {
			return booking.Booking{}, err
		}
	}
	b, err := p.bookings.Tx(tx).Cancel(ctx, req)
	if err != nil || b.Refund == nil || b.Refund.Minor == 0 {
		return b, err
	}
	var payment string
	err = tx.QueryRowContext(ctx, appliedPaymentSQL, b.ID).Scan(&payment)
	if errors.Is(err, sql.ErrNoRows) {
		return b, nil
	}
	if err != nil {
		return b, err
	}
	return b, commitDueRefund(ctx, tx, payment, req.Reason, booking.Actor(ctx))
}

// A payment with a session id may be with the customer, and stays open.
const abandonSQL = `
UPDATE booking_platform.payments AS p SET failed = true, updated_at = statement_timestamp()
WHERE p.booking_id = $1::uuid AND p.kind = 'checkout' AND p.stripe_session_id IS NULL
	AND NOT p.completed AND NOT p.expired AND NOT p.failed`

const othersOpenSQL = `
SELECT EXISTS (SELECT FROM booking_platform.payments p WHERE p.booking_id = $1::uuid AND NOT p.failed
	AND NOT p.expired)`

// Abandon gives up a Checkout that Stripe could not create: in one transaction the
// payment is failed and the hold released, which frees the slot and the idempotency key.
// If another caller has got a session meanwhile, nothing changes. A session that Stripe
// created all the same has no customer and expires; a call in progress returns
// [ErrUnavailable]. The error is booking.ErrNotFound. Abandon is idempotent and safe on
// several replicas at once; six round trips.
func (p *Payments) Abandon(ctx context.Context, bookingID string) error {
	return p.inTx(ctx, "abandon", func(tx *sql.Tx) error {
		bookings := p.bookings.Tx(tx)
		if _, err := bookings.Lock(ctx, bookingID); err != nil {
			return err
		}
		return p.observe(ctx, tx, bookingID, func() error {
			if _, err := tx.ExecContext(ctx, abandonSQL, bookingID); err != nil {
				return err
			}
			var others bool
			if err := tx.QueryRowContext(ctx, othersOpenSQL, bookingID).Scan(&others); err != nil || others {
				return err
			}
			return ignoreNotPending(bookings.Release(ctx, bookingID))
		})
	})
}

func ignoreNotPending(_ booking.Booking, err error) error {
	var settled *booking.StatusError
	if errors.As(err, &settled) || errors.Is(err, booking.ErrHoldExpired) {
		return nil
	}
	return err
}

// Whether the payment was refunded in full, partly at least at Stripe, and the booking is
// ahead.
const refundedAtStripeSQL = `
SELECT p.captured_minor > 0 AND p.refunded_minor >= p.captured_minor AND NOT p.parked AND p.unapplied = ''
   AND EXISTS (SELECT FROM booking_platform.refunds r
               WHERE r.payment_id = p.id AND r.origin = 'stripe' AND r.status IN ('pending', 'succeeded')),
       lower(b.during) > statement_timestamp()
FROM booking_platform.payments p JOIN booking_platform.bookings b ON b.id = p.booking_id WHERE p.id = $1::uuid`

// cancelRefundedBooking cancels a booking ahead that was refunded in full at Stripe. It
// runs after every event of a payment and its refunds. The booking is locked.
func (p *Payments) cancelRefundedBooking(ctx context.Context, q booking.Querier, bookings *booking.Tx, paymentID,
	bookingID string) error {
	if p.opts.KeepRefunded {
		return nil
	}
	var refunded, ahead bool
	err := q.QueryRowContext(ctx, refundedAtStripeSQL, paymentID).Scan(&refunded, &ahead)
	if err != nil || !refunded || !ahead {
		return err
	}
	b, err := bookings.Get(ctx, bookingID)
	if err != nil || b.Status != booking.StatusConfirmed {
		return err
	}
	_, err = bookings.Cancel(ctx, booking.CancelRequest{ID: bookingID, Reason: "refunded in full at Stripe"})
	return err
}
