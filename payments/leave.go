package payments

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/pg"
)

const resumeSQL = `
SELECT p.id::text, p.stripe_session_id, p.checkout_url, p.session_expires_at,
	EXTRACT(EPOCH FROM LEAST(b.hold_expires_at, lower(b.during)) - statement_timestamp())::double precision
FROM booking_platform.payments p JOIN booking_platform.bookings b ON b.id = p.booking_id
WHERE p.booking_id = $1::uuid AND p.kind = 'checkout' AND NOT p.completed AND NOT p.expired AND NOT p.failed
AND p.stripe_session_id IS NOT NULL AND p.checkout_url <> '' AND p.session_expires_at > statement_timestamp()
AND b.status = 'pending' AND LEAST(b.hold_expires_at, lower(b.during)) > statement_timestamp()`

// Resume returns the Checkout that the customer of a hold has left and can go back to, and
// how long the hold lasts from now, by the database's clock. It creates none: see
// [Payments.Checkout].
//
// Errors: booking.ErrHoldExpired; [ErrNotPayable], also if the Checkout Session does not
// exist yet. bookingID must be an id. One round trip, or two with an error.
func (p *Payments) Resume(ctx context.Context, bookingID string) (c Checkout, left time.Duration, err error) {
	var seconds float64
	err = p.read(ctx, "find the checkout that was left", func(q booking.Querier) error {
		return q.QueryRowContext(ctx, resumeSQL, bookingID).Scan(&c.PaymentID, &c.SessionID, &c.URL, &c.ExpiresAt,
			&seconds)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return Checkout{}, 0, p.notPayable(ctx, bookingID)
	}
	c.ExpiresAt = c.ExpiresAt.UTC()
	return c, time.Duration(seconds * float64(time.Second)), err
}

// GiveUp cancels a hold that its customer does not want any more, and expires its Checkout
// Session at once if Stripe can be reached; else [Payments.ExpireSessions] does. Money that
// arrives nevertheless is refunded as [Payments.Cancel] says.
//
// Errors: booking.ErrNotFound; a *booking.StatusError for a booking that is not a hold, so
// that nothing that was paid for is lost by a stale page; [ErrNotPayable] while a delayed
// payment is under way. A cancelled booking is returned as it is. Safe on several replicas
// at once and beside the payment's events. Up to thirteen round trips and a call to Stripe.
func (p *Payments) GiveUp(ctx context.Context, bookingID string) (booking.Booking, error) {
	var b booking.Booking
	err := p.inTxRetry(ctx, "give up", func(tx *sql.Tx) error {
		held, err := p.bookings.Tx(tx).Lock(ctx, bookingID)
		if err != nil {
			return err
		}
		if b = held; b.Status == booking.StatusCancelled {
			return nil
		}
		if b.Status != booking.StatusPending || b.Kind != booking.KindBooking {
			return &booking.StatusError{ID: b.ID, Status: b.Status, Op: "give up"}
		}
		var paying bool
		if err := tx.QueryRowContext(ctx, payingSQL, b.ID).Scan(&paying); err != nil {
			return err
		}
		if paying {
			return ErrNotPayable
		}
		return p.observe(ctx, tx, b.ID, func() (err error) {
			b, err = p.cancel(ctx, tx, booking.CancelRequest{ID: b.ID, ByCustomer: true})
			return err
		})
	})
	if err == nil {
		p.expireLeft(ctx, b.ID)
	}
	return b, err
}

// expireLeft expires the session of a booking that was given up.
func (p *Payments) expireLeft(ctx context.Context, bookingID string) {
	if p.paused() {
		return
	}
	l, found, err := p.leaseSession(ctx, bookingID)
	if err == nil && found {
		_, err = p.expireSession(ctx, l)
	}
	if err != nil {
		p.log.LogAttrs(ctx, slog.LevelWarn, "expire session of a hold given up failed; a step will",
			slog.String("booking_id", bookingID), slog.String("error", err.Error()),
			slog.String("sqlstate", pg.SQLState(err)))
	}
}
