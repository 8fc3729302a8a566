package payments

import (
	"context"

	"github.com/google/uuid"

	"github.com/booking-platform/booking-platform/booking"
)

// Money that came counts, parked or not, less what went back; so does a Checkout whose money may be on its way.
const hasMoneySQL = `
SELECT EXISTS (SELECT FROM booking_platform.payments p WHERE p.booking_id = $1::uuid
AND (p.captured_minor > p.refunded_minor OR p.completed AND p.captured_minor = 0 AND NOT p.failed AND NOT p.expired))`

// HasMoney tells whether money has come for a booking and not gone back, or is on its way; what no payment of ours knows does not count.
// Called in a transaction that has locked the booking before (booking.Tx.Lock), its answer holds until that ends: money that
// arrives meanwhile waits, and then finds the booking as it became. One round trip.
func (p *Payments) HasMoney(ctx context.Context, q booking.Querier, bookingID string) (bool, error) {
	var has bool
	// uuid.Validate knows longer forms, which Postgres does not.
	if len(bookingID) != 36 || uuid.Validate(bookingID) != nil {
		return false, nil
	}
	err := q.QueryRowContext(ctx, hasMoneySQL, bookingID).Scan(&has)
	return has, wrap(ctx, "has money", err)
}
