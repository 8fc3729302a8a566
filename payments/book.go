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

// Book returns within ten seconds: bookTimeout, storeLimit and abandonTimeout together.
const (
	bookTimeout    = 7 * time.Second
	abandonTimeout = 1500 * time.Millisecond
)

// Booked is the result of [Payments.Book].
type Booked struct {
	// Booking has its OwnerToken. It is pending until it is paid, or confirmed if it
	// costs nothing.
	Booking booking.Booking
	// URL is where to send the customer: Stripe's page, or [Payments.BookingURL] if the
	// booking costs nothing.
	URL string
	// PaymentID and SessionID (Stripe's, cs_…) are empty if the booking costs nothing.
	PaymentID, SessionID string
}

// RateLimitError is returned by Options.Admit for a client that makes too many bookings.
type RateLimitError struct {
	RetryAfter time.Duration
}

// Error does not name the client.
func (e *RateLimitError) Error() string {
	return fmt.Sprintf("too many bookings from one client, try again in %d seconds", e.Seconds())
}

// Seconds returns RetryAfter for the HTTP header of that name: rounded up, at least 1.
func (e *RateLimitError) Seconds() int {
	return max(1, int((e.RetryAfter+time.Second-1)/time.Second))
}

// Book holds a slot and creates the Checkout Session that pays for it. If Stripe cannot
// create one, the hold is given up at once and the slot is free again. A booking that
// costs nothing is confirmed without Stripe.
//
// With an idempotency key in req, a client that did not get the answer can repeat the
// request and gets the same booking and session, with the booking's present status. That
// may be expired or cancelled, although URL is set: check it before sending the customer
// there, and use a new key for a new attempt. See booking.Store.Hold.
//
// Errors: those of booking.Store.Hold and of Options.Admit; [ErrUnavailable] and
// [ErrRefused] (also an [ErrParameter] of Options.ShapeCheckout), after trying to give
// the hold up, which otherwise expires;
// booking.ErrHoldExpired if the Checkout took longer than the hold lasts;
// context.Canceled if the caller has gone, in which case the hold stays for a repeat
// until it expires. After any other error the hold is given up if possible, or else
// expires.
//
// Book runs its own transactions and returns within ten seconds. It is safe on several
// replicas at once. Without contention it takes three round trips to Postgres and one
// call to Stripe, with Options.ShapeCheckout four; two round trips if the booking costs
// nothing.
func (p *Payments) Book(ctx context.Context, req booking.HoldRequest) (Booked, error) {
	booked, err := p.book(ctx, req)
	if err == nil {
		p.log.LogAttrs(ctx, slog.LevelInfo, "booked", slog.String("booking_id", booked.Booking.ID),
			slog.String("status", string(booked.Booking.Status)), slog.String("payment_id", booked.PaymentID))
	}
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
	if held.Status != booking.StatusPending {
		return p.bookedBefore(ctx, held)
	}
	booked, err := p.checkoutHeld(ctx, held)
	switch {
	case errors.Is(err, ErrNotPayable):
		// A repeat: the session was completed meanwhile.
		now, err := p.bookings.Get(ctx, held.ID)
		if err != nil {
			return Booked{}, err
		}
		now.OwnerToken = held.OwnerToken
		return p.bookedBefore(ctx, now)
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrRefused):
		p.giveUp(ctx, held.ID)
	case errors.Is(err, context.Canceled), errors.Is(err, booking.ErrHoldExpired):
		// Browsers often repeat a dropped request, which then gets this session.
	case err != nil:
		p.giveUp(ctx, held.ID)
	}
	return booked, err
}

// admit calls Options.Admit for a valid request. Hold refuses an invalid one, which is
// not counted.
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

// checkoutHeld is Checkout for a booking just held, whose resource is in memory.
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

// bookedBefore is for a repeat whose booking is no longer pending.
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

// giveUp releases the hold even if ctx has ended.
func (p *Payments) giveUp(ctx context.Context, bookingID string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonTimeout)
	defer cancel()
	if err := p.Abandon(ctx, bookingID); err != nil {
		p.log.LogAttrs(ctx, slog.LevelError, "release hold failed; it will expire",
			slog.String("booking_id", bookingID), slog.String("error", err.Error()),
			slog.String("sqlstate", pg.SQLState(err)))
	}
}

// BookingURL returns the address of a booking's page, appURL/success?booking=…&token=…
// (see Options.SuccessPath).
// The owner token opens the page, so give the address to the customer only.
func (p *Payments) BookingURL(bookingID, ownerToken string) string {
	return p.appURL + withQuery(p.opts.SuccessPath,
		url.Values{"booking": {bookingID}, "token": {ownerToken}}.Encode())
}

// BookResults returns all results of [BookResult].
func BookResults() []string {
	return []string{"held", "taken", "limit", "invalid", "payment_unavailable", "payment_refused", "expired",
		"cancelled", "failed"}
}

// BookResult classifies an error of [Payments.Book] in one word, for metrics; nil is
// "held", even if nothing is to pay.
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
