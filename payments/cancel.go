package payments

import (
	"context"
	"database/sql"
	"errors"

	"github.com/booking-platform/booking-platform/booking"
)

// Cancel ends a booking as booking.Store.Cancel does, and commits, in the same
// transaction, to give back what that says of the money that was paid for it: by the
// booking's policy for its customer, and what staff say for them.
// [Payments.SettleRefunds] then has Stripe do it. Cancelling a cancelled booking answers
// it again, and gives nothing back twice.
//
//   - Of money that was refunded in part already, no more than the rest goes back.
//   - While a dispute of the payment is open nothing is committed to: the bank may give
//     the customer the money. When it is over, what the dispute did not take of that goes
//     back by itself. What the booking's Refund says is the decision until then, and no
//     promise.
//   - The policy binds customers who have begun to pay: where a delayed method is under
//     way, the cancellation is refused with booking.ErrPolicy where the policy does not
//     allow it. Of money that comes after a customer has cancelled a hold, what the
//     policy kept at that time is kept, and the rest goes back; where the customer paid
//     after cancelling, or staff cancelled, all of it.
//
// The errors are those of booking.Store.Cancel. Safe on several replicas at once, against
// the payment's own events too. Nine to eleven round trips.
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

// The payment that was applied to a booking. The booking's lock makes the answer hold.
const appliedPaymentSQL = `
SELECT p.id::text FROM booking_platform.payments p
WHERE p.booking_id = $1::uuid AND p.captured_minor > 0 AND NOT p.parked AND p.unapplied = '' ORDER BY p.id LIMIT 1`

// A delayed method was completed and not refused: the money is on its way, or here and
// parked.
const payingSQL = `
SELECT EXISTS (SELECT FROM booking_platform.payments p WHERE p.booking_id = $1::uuid AND p.completed AND NOT p.failed)`

// cancel is Cancel, with the booking locked.
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

// A payment whose session id is known may be with the customer, and stays.
const abandonSQL = `
UPDATE booking_platform.payments AS p SET failed = true, updated_at = statement_timestamp()
WHERE p.booking_id = $1::uuid AND p.stripe_session_id IS NULL AND NOT p.completed AND NOT p.expired AND NOT p.failed`

const othersOpenSQL = `
SELECT EXISTS (SELECT FROM booking_platform.payments p WHERE p.booking_id = $1::uuid AND NOT p.failed AND NOT p.expired)`

// Abandon gives up a checkout that Stripe could not be asked for: the payment is marked
// failed and the hold released, together. A booking whose session is known by now,
// because another caller got it, is left alone. A session that Stripe made without our
// learning of it has a URL that nobody was told, and ends by itself; a call that is still
// under way then gives [ErrUnavailable]. The booking becomes Cancelled, and its
// idempotency key is free again. The error booking.ErrNotFound tells that there is no
// such booking. Safe to repeat, and on several replicas at once; six round trips.
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

// ignoreNotPending passes over a booking that is no longer pending: what it became stands.
func ignoreNotPending(_ booking.Booking, err error) error {
	var settled *booking.StatusError
	if errors.As(err, &settled) || errors.Is(err, booking.ErrHoldExpired) {
		return nil
	}
	return err
}
