package checkout

import (
	"context"
	"errors"

	"github.com/booking-platform/booking-platform/booking"
)

// OnBegin has f called after each [Desk.Begin] with the [Result] of its error; f should
// return at once. It is set before the first of them.
func (d *Desk) OnBegin(f func(result string)) { d.began = f }

// Results are the words of [Result].
var Results = []string{"held", "taken", "limit", "invalid", "payment_unavailable", "payment_refused", "expired",
	"cancelled", "failed"}

// Result says in one word what an error of [Desk.Begin] means: held is none. A repeat
// that finds its booking is held too.
func Result(err error) string {
	var limit *booking.HoldLimitError
	var rate *RateError
	var invalid *booking.ValidationError
	switch {
	case err == nil:
		return "held"
	case errors.Is(err, booking.ErrSlotTaken), errors.Is(err, booking.ErrSlotGone):
		return "taken"
	case errors.As(err, &limit), errors.As(err, &rate):
		return "limit"
	case errors.As(err, &invalid), errors.Is(err, booking.ErrNotFound), errors.Is(err, booking.ErrIdempotencyMismatch):
		return "invalid"
	case errors.Is(err, ErrPaymentUnavailable):
		return "payment_unavailable"
	case errors.Is(err, ErrPaymentRefused):
		return "payment_refused"
	case errors.Is(err, booking.ErrHoldExpired):
		return "expired"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	}
	return "failed"
}
