package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/cmd/host/internal/middleware"
	"github.com/booking-platform/booking-platform/internal/ratelimit"
	"github.com/booking-platform/booking-platform/payments"
)

// bookingLimiter limits the bookings and moves of a client network, over all replicas.
// See docs/DECISIONS/0027.
type bookingLimiter struct {
	db     *sql.DB
	secret []byte
	rate   ratelimit.Rate
}

// newBookingLimiter allows a network perMinute per minute, 0 is no limit, and atOnce in a
// burst. The secret pseudonymises the networks in the table.
func newBookingLimiter(db *sql.DB, secret string, perMinute, atOnce int) *bookingLimiter {
	l := &bookingLimiter{db: db, secret: []byte(secret)}
	if perMinute > 0 {
		l.rate = ratelimit.Rate{Burst: atOnce, Every: time.Minute / time.Duration(perMinute)}
	}
	return l
}

// admit counts a booking of the network of ctx. It returns a [*payments.RateLimitError]
// if there are too many. One round trip; three for a new network.
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

// The limits of asking for links: each may make a message to an address that the client
// chose.
var (
	linksOfNetwork = ratelimit.Rate{Burst: 20, Every: time.Minute}
	linksOfAddress = ratelimit.Rate{Burst: 3, Every: 20 * time.Minute}
)

// admitLinks counts a request for the links of an address, which may have none. It returns
// a [*payments.RateLimitError] if there are too many from the network of ctx, or for the
// address. One round trip; three for a new network or address.
func (l *bookingLimiter) admitLinks(ctx context.Context, email string) error {
	network := ratelimit.Key(l.secret, "links", middleware.Network(ctx))
	address := ratelimit.Key(l.secret, "links of", strings.ToLower(email))
	wait, err := ratelimit.Take(ctx, l.db, ratelimit.Choice{{Key: network, Rate: linksOfNetwork}},
		ratelimit.Choice{{Key: address, Rate: linksOfAddress}})
	if err != nil {
		return fmt.Errorf("count a request for links: %w", err)
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
