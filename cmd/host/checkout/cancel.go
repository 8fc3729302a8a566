package checkout

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/booking-platform/booking-platform/booking"
)

// ErrRefundNotAvailable means that cancelling would give money back, which cannot be done yet: the booking stays as it is.
var ErrRefundNotAvailable = errors.New("refund not available")

// maxReruns bounds how often a transaction that Postgres ended in favour of another is run again.
const maxReruns = 5

// Cancel ends a booking that no money is to be given back for: nothing was paid, or the policy keeps it all. One that was cancelled before is
// answered again. It decides with the booking locked, so money that arrives in the same moment either comes first, and then the booking stays,
// or finds it cancelled and is parked for an operator. A Checkout Session that is open is ended by payments.ExpireSessions.
//
// Errors: [ErrRefundNotAvailable], and those of booking.Store.Cancel. Four round trips, and those that begin and end a transaction.
func (d *Desk) Cancel(ctx context.Context, req booking.CancelRequest) (booking.Booking, error) {
	for n := 0; ; n++ {
		b, err := d.cancel(ctx, req)
		if n == maxReruns || !booking.IsRetryable(err) {
			return b, err
		}
	}
}

func (d *Desk) cancel(ctx context.Context, req booking.CancelRequest) (booking.Booking, error) {
	tx, err := d.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return booking.Booking{}, fmt.Errorf("checkout: cancel: %w", err)
	}
	// After a commit this does nothing.
	defer func() { _ = tx.Rollback() }()
	bookings := d.bookings.Tx(tx)
	before, err := bookings.Lock(ctx, req.ID)
	if err != nil {
		return booking.Booking{}, err
	}
	after, err := bookings.Cancel(ctx, req)
	if err != nil || before.Status == booking.Cancelled {
		return after, err
	}
	// Whatever came for a hold that ends goes back as a whole: its Refund is not decided.
	if after.Refund == nil || after.Refund.Minor > 0 {
		paid, err := d.payments.HasMoney(ctx, tx, req.ID)
		if err != nil {
			return booking.Booking{}, err
		}
		if paid {
			return booking.Booking{}, ErrRefundNotAvailable
		}
	}
	if err := tx.Commit(); err != nil {
		return booking.Booking{}, fmt.Errorf("checkout: cancel: %w", err)
	}
	return after, nil
}
