package main

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/cmd/host/internal/middleware"
	"github.com/booking-platform/booking-platform/internal/ratelimit"
	"github.com/booking-platform/booking-platform/payments"
)

// bookingLimiter bounds how many bookings and moves one client network makes, over all
// replicas that share a database. See docs/DECISIONS/0027.
type bookingLimiter struct {
	db     *sql.DB
	secret []byte
	rate   ratelimit.Rate
}

// newBookingLimiter lets one network make perMinute each minute, and up to atOnce at one
// time after a pause. perMinute 0 is no limit. The secret hides the networks in the table,
// and is the same on every replica.
func newBookingLimiter(db *sql.DB, secret string, perMinute, atOnce int) *bookingLimiter {
	l := &bookingLimiter{db: db, secret: []byte(secret)}
	if perMinute > 0 {
		l.rate = ratelimit.Rate{Burst: atOnce, Every: time.Minute / time.Duration(perMinute)}
	}
	return l
}

// admit takes one from the budget of the network of ctx. It returns a
// [*payments.RateLimitError] when that is empty; after any other error nothing may be made
// either. One round trip; three for a network that is new.
func (l *bookingLimiter) admit(ctx context.Context) error {
	if l.rate.Burst == 0 {
		return nil
	}
	key := ratelimit.Key(l.secret, "booking", middleware.Network(ctx))
	wait, err := ratelimit.Take(ctx, l.db, ratelimit.Choice{{Key: key, Rate: l.rate}})
	if err != nil {
		return fmt.Errorf("count a booking: %w", err)
	}
	if wait > 0 {
		return &payments.RateLimitError{RetryAfter: wait}
	}
	return nil
}

// admitBooking is admit for payments.Options.
func (l *bookingLimiter) admitBooking(ctx context.Context, _ booking.HoldRequest) error {
	return l.admit(ctx)
}
