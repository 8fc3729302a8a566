package checkout

import (
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// PaymentRetryAfter is in how many seconds somebody may try again to whom [ErrPaymentUnavailable] was said: as Stripe asks for, else 5.
func PaymentRetryAfter(err error) int { return max(5, int(payments.RetryAfter(err)/time.Second)) }

// RetryAfter is in how many seconds somebody who met a limit of open holds may try again: when the first of those holds ends by itself, but 1
// at least, because the clock here need not be the database's, and an hour at most, because a hold may be given up before its time.
func RetryAfter(limit *booking.HoldLimitError, now time.Time) int {
	seconds := (limit.Until.Sub(now) + time.Second - 1) / time.Second
	return int(min(max(seconds, 1), 3600))
}
