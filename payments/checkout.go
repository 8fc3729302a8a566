package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/booking-platform/booking-platform/booking"
)

// Checkout is where to send the customer.
type Checkout struct {
	// PaymentID is ours; SessionID is Stripe's (cs_…). Both are empty when nothing is to
	// pay.
	PaymentID, SessionID string
	// URL is Stripe's page; empty when nothing is to pay.
	URL string
	// Confirmed is true when nothing was to pay, and the booking is confirmed already.
	Confirmed bool
	// ExpiresAt is when the Checkout Session ends by itself, in UTC.
	ExpiresAt time.Time
}

// Checkout makes the Checkout Session of a held booking, or returns the one it has:
// called twice, at once or on two replicas, there is one. A booking that costs nothing is
// confirmed at once, without Stripe.
//
// Amount and currency are the booking's. The session ends with the hold, within what
// Stripe allows, counted when it gets the call: not before 30 minutes have passed, and
// not after a day (https://docs.stripe.com/api/checkout/sessions/create, expires_at). A
// hold ends with the start of its slot, so near to that the session lives longer than the
// hold: [Payments.ExpireSessions] ends it, and money that comes after the start is given
// back. Hold for longer than the one, and no customer pays for a slot that is gone; a
// hold that is longer than the other ends with its session.
//
// The payment row is committed before Stripe is called and the session's id is stored
// after, each in a transaction of our own, so the booking must be committed. Without a
// failure it takes four round trips to Postgres and one call to Stripe. It ends within
// Options.Timeout, plus a second at most in which to store what Stripe has answered.
//
// Errors: [ErrUnavailable] when Stripe could not be asked: call again, or
// [Payments.Abandon]; [ErrRefused] when Stripe will refuse it again: [Payments.Abandon];
// [ErrNotPayable]; booking.ErrHoldExpired; booking.ErrNotFound. A caller whose context is
// cancelled gets context.Canceled and not ErrUnavailable: a browser that drops a request
// often sends it anew, and then gets the session of the first one.
func (p *Payments) Checkout(ctx context.Context, bookingID string) (Checkout, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	b, err := p.bookings.Get(ctx, bookingID)
	if err != nil {
		return Checkout{}, err
	}
	if b.Amount.Minor == 0 {
		if _, err := p.confirmFree(ctx, b.ID); err != nil {
			return Checkout{}, err
		}
		return Checkout{Confirmed: true}, nil
	}
	resource, err := p.bookings.Resource(ctx, b.ResourceID)
	if err != nil {
		return Checkout{}, err
	}
	pay, err := p.openSession(ctx, b, resource)
	if err != nil {
		return Checkout{}, err
	}
	return Checkout{PaymentID: pay.ID, SessionID: pay.SessionID, URL: pay.URL, ExpiresAt: pay.ExpiresAt}, nil
}

// confirmFree confirms a booking that costs nothing.
func (p *Payments) confirmFree(ctx context.Context, bookingID string) (booking.Booking, error) {
	b, err := p.bookings.Confirm(ctx, bookingID)
	var settled *booking.StatusError
	if errors.As(err, &settled) {
		return b, fmt.Errorf("%w: %w", ErrNotPayable, err)
	}
	return b, err
}

// openSession returns the open payment of a booking, with its Checkout Session.
func (p *Payments) openSession(ctx context.Context, b booking.Booking, r booking.Resource) (Payment, error) {
	pay, err := p.intend(ctx, b, r)
	if err != nil || pay.SessionID != "" && pay.URL != "" {
		return pay, err
	}
	if !p.owns(pay) {
		return Payment{}, fmt.Errorf("payments: the Checkout is another Stripe account's: %w", ErrUnavailable)
	}
	return p.createSession(ctx, pay)
}

// A payment is made for a hold that still runs and has none that counts: one that is
// open, was completed, or has money. The booking is locked first, as everywhere, so this
// waits for whoever is just ending or paying it, and then sees the booking as it became.
// Of the payments it sees those from before the wait, which errs on the side of making
// none. ON CONFLICT: somebody else has just made the row, which is then read.
const intendSQL = `
WITH held AS (
	SELECT b.id, b.hold_expires_at FROM booking_platform.bookings b
	WHERE b.id = $2::uuid AND b.status = 'pending' AND LEAST(b.hold_expires_at, lower(b.during)) > statement_timestamp()
	FOR NO KEY UPDATE)
INSERT INTO booking_platform.payments AS p (id, booking_id, amount_minor, currency, parameters, account, session_expires_at)
SELECT $1::uuid, h.id, $3::bigint, $4::text, $5::json, $6::text,
       LEAST(GREATEST(h.hold_expires_at, statement_timestamp() + interval '31 minutes'),
             statement_timestamp() + interval '23 hours 55 minutes')
FROM held h
WHERE NOT EXISTS (SELECT FROM booking_platform.payments o
	WHERE o.booking_id = h.id AND (NOT o.expired AND NOT o.failed OR o.captured_minor > 0))
ON CONFLICT DO NOTHING
RETURNING ` + paymentColumns

// The session of a hold that is gone is about to be ended: nobody is sent there any more.
const openForBookingSQL = `SELECT ` + paymentColumns + ` FROM booking_platform.payments p
JOIN booking_platform.bookings b ON b.id = p.booking_id
WHERE p.booking_id = $1::uuid AND NOT p.completed AND NOT p.expired AND NOT p.failed
AND p.session_expires_at > statement_timestamp()
AND b.status = 'pending' AND LEAST(b.hold_expires_at, lower(b.during)) > statement_timestamp()`

const lapsedSQL = `
SELECT b.status = 'expired' OR b.status = 'pending' AND LEAST(b.hold_expires_at, lower(b.during)) <= statement_timestamp()
FROM booking_platform.bookings b WHERE b.id = $1::uuid`

// intend commits the intent to be paid, with its parameters frozen, or finds the one that
// is open.
func (p *Payments) intend(ctx context.Context, b booking.Booking, resource booking.Resource) (Payment, error) {
	frozen, err := p.freeze(b, resource, p.opts.RequestID(ctx))
	if err != nil {
		return Payment{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Payment{}, fmt.Errorf("payments: make an id: %w", err)
	}
	pay, err := p.queryPayment(ctx, "store the intent", intendSQL, id.String(), b.ID, b.Amount.Minor, b.Amount.Currency,
		frozen, p.account)
	if !errors.Is(err, sql.ErrNoRows) {
		return pay, err
	}
	pay, err = p.queryPayment(ctx, "find the open payment", openForBookingSQL, b.ID)
	if !errors.Is(err, sql.ErrNoRows) {
		return pay, err
	}
	var lapsed bool
	err = p.read(ctx, "look at the hold", func(q booking.Querier) error {
		return q.QueryRowContext(ctx, lapsedSQL, b.ID).Scan(&lapsed)
	})
	if err != nil {
		return Payment{}, err
	}
	if lapsed {
		return Payment{}, booking.ErrHoldExpired
	}
	return Payment{}, ErrNotPayable
}
