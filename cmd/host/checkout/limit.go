package checkout

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

// PaymentRetryAfter is in how many seconds a client that was told [ErrPaymentUnavailable]
// may try again: as Stripe asks for, else 5.
func PaymentRetryAfter(err error) int { return max(5, int(payments.RetryAfter(err)/time.Second)) }

// RetryAfter is in how many seconds a client that met a limit of open holds may try
// again: when the first of what is counted ends by itself, but 1 at least, because the
// clock here need not be the database's, and an hour at most, because a hold may be given
// up before its time.
func RetryAfter(limit *booking.HoldLimitError, now time.Time) int {
	seconds := (limit.Until.Sub(now) + time.Second - 1) / time.Second
	return int(min(max(seconds, 1), 3600))
}

// RateError tells that one client network has made so many bookings and moves that the
// next one must wait. Nothing was made.
type RateError struct {
	// RetryAfter is when the next one is let through if no other client of the network
	// takes its place: whole seconds, 1 to 60.
	RetryAfter time.Duration
}

// Error does not name the network.
func (e *RateError) Error() string {
	return fmt.Sprintf("checkout: too many bookings from one network, try again in %d seconds", e.Seconds())
}

// Seconds is RetryAfter for the header of that name.
func (e *RateError) Seconds() int { return int(e.RetryAfter / time.Second) }

// Limiter bounds how many bookings and moves one client network makes, over all replicas
// that share a database. See docs/DECISIONS/0027. It is safe for concurrent use.
type Limiter struct {
	db     *sql.DB
	secret []byte
	rate   ratelimit.Rate
}

// NewLimiter lets one network make perMinute each minute, and up to atOnce at one time
// after a pause. perMinute 0 is no limit. The secret hides the networks in the table, and
// is the same on every replica.
func NewLimiter(db *sql.DB, secret string, perMinute, atOnce int) *Limiter {
	l := &Limiter{db: db, secret: []byte(secret)}
	if perMinute > 0 {
		l.rate = ratelimit.Rate{Burst: atOnce, Every: time.Minute / time.Duration(perMinute)}
	}
	return l
}

// admit takes one from the budget of the client that ctx belongs to. The error is
// [*RateError] where it is empty; with any other nothing may be made either. One round
// trip; three for a network that is new.
func (l *Limiter) admit(ctx context.Context) error {
	if l.rate.Burst == 0 {
		return nil
	}
	key := ratelimit.Key(l.secret, "booking", middleware.Network(ctx))
	wait, err := ratelimit.Take(ctx, l.db, ratelimit.Choice{{Key: key, Rate: l.rate}})
	if err != nil {
		return fmt.Errorf("checkout: count a booking: %w", err)
	}
	if wait > 0 {
		return &RateError{RetryAfter: wait}
	}
	return nil
}
