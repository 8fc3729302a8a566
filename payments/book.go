package payments

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/pg"
)

// Book answers within ten seconds: bookTimeout bounds the hold and its Checkout, storing
// what Stripe has answered may take storeLimit more, and abandonTimeout bounds giving up a
// hold that cannot be paid for.
const (
	bookTimeout    = 7 * time.Second
	abandonTimeout = 1500 * time.Millisecond
)

// Booked is a booking and where to send its customer.
type Booked struct {
	// Booking has its OwnerToken. It is pending while it waits for its payment, and
	// confirmed when nothing is to pay.
	Booking booking.Booking
	// URL is Stripe's page, or [Payments.BookingURL] when nothing is to pay.
	URL string
	// PaymentID is ours and SessionID is Stripe's (cs_…); both are empty when nothing is
	// to pay.
	PaymentID, SessionID string
}

// RateLimitError is for Options.Admit: the client makes too many bookings.
type RateLimitError struct {
	// RetryAfter is when the client may try again.
	RetryAfter time.Duration
}

// Error does not name the client.
func (e *RateLimitError) Error() string {
	return fmt.Sprintf("too many bookings from one client, try again in %d seconds", e.Seconds())
}

// Seconds is RetryAfter for the HTTP header of that name: rounded up, at least 1.
func (e *RateLimitError) Seconds() int {
	return max(1, int((e.RetryAfter+time.Second-1)/time.Second))
}

// Book holds a slot and makes the Checkout Session that pays for it. When Stripe cannot
// make one, the hold is given up at once, so that the slot is free for others. A booking
// that costs nothing is confirmed at once, without Stripe.
//
// With an idempotency key in req, a repeat returns what the first call made, with the
// status that the booking has now: see booking.Store.Hold. Use one: a client that did not
// get the answer can then ask again without holding a second slot.
//
// Errors: those of booking.Store.Hold; that of Options.Admit; [ErrUnavailable] and
// [ErrRefused], after which the hold has been given up; booking.ErrHoldExpired when the
// Checkout took longer than the hold lasts; context.Canceled when the caller has gone,
// and then the hold stays for a repeat until its time is over. After any other error the
// hold has been given up if that was possible, and else it expires.
//
// Book runs transactions of its own and answers within ten seconds. It is safe for
// concurrent use and on several replicas at once. Without contention it takes three round
// trips to Postgres and one call to Stripe, and two round trips when nothing is to pay.
func (p *Payments) Book(ctx context.Context, req booking.HoldRequest) (Booked, error) {
	booked, err := p.book(ctx, req)
	if p.opts.OnBook != nil {
		p.opts.OnBook(ctx, BookResult(err), err)
	}
	return booked, err
}

func (p *Payments) book(ctx context.Context, req booking.HoldRequest) (Booked, error) {
	ctx, cancel := context.WithTimeout(ctx, bookTimeout)
	defer cancel()
	if err := p.admit(ctx, req); err != nil {
		return Booked{}, err
	}
	held, err := p.bookings.Hold(ctx, req)
	if err != nil {
		return Booked{}, err
	}
	if held.Status != booking.Pending {
		return p.bookedBefore(ctx, held)
	}
	booked, err := p.checkoutHeld(ctx, held)
	switch {
	case errors.Is(err, ErrNotPayable):
		// A repeat, and the first call's session was completed in between.
		now, err := p.bookings.Get(ctx, held.ID)
		if err != nil {
			return Booked{}, err
		}
		now.OwnerToken = held.OwnerToken
		return p.bookedBefore(ctx, now)
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrRefused):
		p.giveUp(ctx, held.ID)
	case errors.Is(err, context.Canceled), errors.Is(err, booking.ErrHoldExpired):
		// A browser that drops a request often sends it again, and gets the session of
		// this one.
	case err != nil:
		p.giveUp(ctx, held.ID)
	}
	return booked, err
}

// admit asks Options.Admit about a valid request. An invalid one is refused by Hold and
// makes nothing, so it is not counted.
func (p *Payments) admit(ctx context.Context, req booking.HoldRequest) error {
	if p.opts.Admit == nil {
		return nil
	}
	err := p.bookings.Check(ctx, req)
	var invalid *booking.ValidationError
	if errors.As(err, &invalid) {
		return nil
	}
	if err != nil {
		return err
	}
	return p.opts.Admit(ctx, req)
}

// checkoutHeld is Checkout for a booking that was just held: its resource's rules are in
// memory, and no older than the hold.
func (p *Payments) checkoutHeld(ctx context.Context, held booking.Booking) (Booked, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	if held.Amount.Minor == 0 {
		confirmed, err := p.confirmFree(ctx, held.ID)
		if err != nil {
			return Booked{}, err
		}
		confirmed.OwnerToken = held.OwnerToken
		return Booked{Booking: confirmed, URL: p.BookingURL(held.ID, held.OwnerToken)}, nil
	}
	resource, err := p.bookings.CachedResource(ctx, held.ResourceID)
	if err != nil {
		return Booked{}, err
	}
	pay, err := p.openSession(ctx, held, resource)
	if err != nil {
		return Booked{}, err
	}
	return Booked{Booking: held, URL: pay.URL, PaymentID: pay.ID, SessionID: pay.SessionID}, nil
}

// bookedBefore answers the repeat of a request whose booking is no longer pending.
func (p *Payments) bookedBefore(ctx context.Context, b booking.Booking) (Booked, error) {
	pay, err := p.ForBooking(ctx, b.ID)
	if errors.Is(err, ErrNotFound) {
		return Booked{Booking: b, URL: p.BookingURL(b.ID, b.OwnerToken)}, nil
	}
	if err != nil {
		return Booked{}, err
	}
	return Booked{Booking: b, URL: pay.URL, PaymentID: pay.ID, SessionID: pay.SessionID}, nil
}

// giveUp gives the slot back although the caller's context may have ended.
func (p *Payments) giveUp(ctx context.Context, bookingID string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonTimeout)
	defer cancel()
	if err := p.Abandon(ctx, bookingID); err != nil {
		p.log.LogAttrs(ctx, slog.LevelError, "release hold failed; it will expire",
			slog.String("booking_id", bookingID), slog.String("error", err.Error()),
			slog.String("sqlstate", pg.SQLState(err)))
	}
}

// BookingURL returns the address of a booking's page, appURL/success?booking=…&token=….
// The owner token opens the page, so the address is for the customer alone.
func (p *Payments) BookingURL(bookingID, ownerToken string) string {
	return p.appURL + "/success?" + url.Values{"booking": {bookingID}, "token": {ownerToken}}.Encode()
}

// BookResults returns the words that [BookResult] uses.
func BookResults() []string {
	return []string{"held", "taken", "limit", "invalid", "payment_unavailable", "payment_refused", "expired",
		"cancelled", "failed"}
}

// BookResult says in one word how a [Payments.Book] ended that returned err, for metrics.
// It is "held" for nil, also when nothing was to pay.
func BookResult(err error) string {
	var limit *booking.HoldLimitError
	var rate *RateLimitError
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
	case errors.Is(err, ErrUnavailable):
		return "payment_unavailable"
	case errors.Is(err, ErrRefused):
		return "payment_refused"
	case errors.Is(err, booking.ErrHoldExpired):
		return "expired"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	}
	return "failed"
}
