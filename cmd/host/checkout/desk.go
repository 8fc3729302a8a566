package checkout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/cmd/host/internal/middleware"
	"github.com/booking-platform/booking-platform/payments"
)

// ErrPaymentUnavailable means that Stripe could not be asked. The slot is free again; the
// customer may try once more.
var ErrPaymentUnavailable = errors.New("payment unavailable")

// ErrPaymentRefused means that Stripe refused the Checkout Session and will refuse it
// again: the price or the key is wrong, which an operator has to mend. The slot is free
// again.
var ErrPaymentRefused = errors.New("payment refused")

// PaymentRefused is what a customer is told of ErrPaymentRefused.
const PaymentRefused = "This cannot be paid online at the moment, and trying again will not help. " +
	"Nothing was charged and nothing is booked. Please contact us."

// A customer has an answer within ten seconds: beginLimit is for the hold and its
// Checkout, to which payments adds a second at most in which it stores what Stripe has
// answered, and giveUp is for giving the hold up where that could not be made.
const (
	beginLimit = 7 * time.Second
	giveUp     = 1500 * time.Millisecond
)

// Desk holds slots, sends customers to pay for them, and cancels. It is safe for
// concurrent use and on several replicas at once.
type Desk struct {
	bookings *booking.Store
	payments *payments.Payments
	links    *Links
	limiter  *Limiter
	log      *slog.Logger
	began    func(result string)
}

// NewDesk makes a Desk. Both stores and the limiter are on the same database.
func NewDesk(bookings *booking.Store, pay *payments.Payments, links *Links, limiter *Limiter,
	logger *slog.Logger) *Desk {
	return &Desk{bookings: bookings, payments: pay, links: links, limiter: limiter, log: logger}
}

// Begun is a booking and where its customer goes next.
type Begun struct {
	// Booking has its owner token.
	Booking booking.Booking
	// URL is Stripe's page, or the booking's own page when there is nothing to pay.
	URL string
	// SessionID is Stripe's; empty when there is nothing to pay.
	SessionID string
}

// Begin holds the slot and makes its Checkout Session; what costs nothing is confirmed at
// once. A repeat under the same idempotency key gives what the first one gave, with the
// status that the booking has now.
//
// It ends within ten seconds. Errors: those of booking.Store.Hold; [*RateError] where the
// network of ctx makes too many, which a request that is not valid does not count for;
// [ErrPaymentUnavailable] and [ErrPaymentRefused], and then the hold has been released;
// booking.ErrHoldExpired, when making the session took longer than the hold lasts. Where
// the database failed after the hold, that is released too, if it can be.
func (d *Desk) Begin(ctx context.Context, wish booking.HoldRequest) (Begun, error) {
	begun, err := d.begin(ctx, wish)
	if d.began != nil {
		d.began(Result(err))
	}
	return begun, err
}

func (d *Desk) begin(ctx context.Context, wish booking.HoldRequest) (Begun, error) {
	ctx, cancel := context.WithTimeout(ctx, beginLimit)
	defer cancel()
	// What is not valid is refused by Hold, and makes nothing.
	err := d.bookings.Check(ctx, wish)
	if err == nil {
		err = d.limiter.admit(ctx)
	}
	if err != nil && !errors.As(err, new(*booking.ValidationError)) {
		return Begun{}, err
	}
	held, err := d.bookings.Hold(ctx, wish)
	if err != nil {
		return Begun{}, err
	}
	if held.Status != booking.Pending {
		return d.begunBefore(ctx, held)
	}
	session, err := d.payments.Checkout(ctx, held.ID)
	switch {
	case errors.Is(err, payments.ErrUnavailable):
		d.release(ctx, held.ID)
		return Begun{}, fmt.Errorf("%w: %w", ErrPaymentUnavailable, err)
	case errors.Is(err, payments.ErrRefused):
		d.release(ctx, held.ID)
		return Begun{}, fmt.Errorf("%w: %w", ErrPaymentRefused, err)
	case errors.Is(err, payments.ErrNotPayable):
		// A repeat, and the first one was paid for in between.
		if held, err = d.again(ctx, held); err != nil {
			return Begun{}, err
		}
		return d.begunBefore(ctx, held)
	case errors.Is(err, context.Canceled), errors.Is(err, booking.ErrHoldExpired):
		// A browser that dropped the request often sends it anew, and gets the session of
		// this one.
		return Begun{}, err
	case err != nil:
		d.release(ctx, held.ID)
		return Begun{}, err
	case session.Confirmed:
		if held, err = d.again(ctx, held); err != nil {
			return Begun{}, err
		}
		return Begun{Booking: held, URL: d.links.Page(held.ID, held.OwnerToken)}, nil
	}
	return Begun{Booking: held, URL: session.URL, SessionID: session.SessionID}, nil
}

// Move gives a booking another time. A customer's move counts as a booking of the
// customer's network. Errors: those of booking.Store.Reschedule, and [*RateError].
func (d *Desk) Move(ctx context.Context, req booking.RescheduleRequest) (booking.Rescheduled, error) {
	if req.ByCustomer {
		if err := d.limiter.admit(ctx); err != nil {
			return booking.Rescheduled{}, err
		}
	}
	return d.bookings.Reschedule(ctx, req)
}

// again reads a booking as it has become, and keeps the token that only its hold tells.
func (d *Desk) again(ctx context.Context, held booking.Booking) (booking.Booking, error) {
	b, err := d.bookings.Get(ctx, held.ID)
	b.OwnerToken = held.OwnerToken
	return b, err
}

// begunBefore answers the repeat of a request whose booking is no longer waiting.
func (d *Desk) begunBefore(ctx context.Context, b booking.Booking) (Begun, error) {
	payment, err := d.payments.ForBooking(ctx, b.ID)
	if errors.Is(err, payments.ErrNotFound) {
		return Begun{Booking: b, URL: d.links.Page(b.ID, b.OwnerToken)}, nil
	}
	if err != nil {
		return Begun{}, err
	}
	return Begun{Booking: b, URL: payment.URL, SessionID: payment.SessionID}, nil
}

// release gives the slot back at once, although the request may be over: nobody is going
// to pay for it. Should it fail, the hold ends by itself.
func (d *Desk) release(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveUp)
	defer cancel()
	if err := d.payments.Abandon(ctx, id); err != nil {
		d.log.LogAttrs(ctx, slog.LevelError, "could not release the hold; it ends by itself",
			slog.String("booking_id", id), slog.String("error", err.Error()),
			slog.String("sqlstate", middleware.SQLState(err)))
	}
}
