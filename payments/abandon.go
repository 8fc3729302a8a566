package payments

import (
	"context"
	"database/sql"
	"errors"

	"github.com/booking-platform/booking-platform/booking"
)

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
		return p.watch(ctx, tx, bookingID, func() error {
			if _, err := tx.ExecContext(ctx, abandonSQL, bookingID); err != nil {
				return err
			}
			var others bool
			if err := tx.QueryRowContext(ctx, othersOpenSQL, bookingID).Scan(&others); err != nil || others {
				return err
			}
			return ignoreSettled(bookings.Release(ctx, bookingID))
		})
	})
}

// ignoreSettled passes over a booking that is no longer pending: what it became stands.
func ignoreSettled(_ booking.Booking, err error) error {
	var settled *booking.StatusError
	if errors.As(err, &settled) || errors.Is(err, booking.ErrHoldExpired) {
		return nil
	}
	return err
}
