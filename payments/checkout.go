package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/booking"
)

// Checkout is the result of [Payments.Checkout].
type Checkout struct {
	// PaymentID is the payment's, SessionID Stripe's (cs_…). Both are empty if the
	// booking costs nothing.
	PaymentID, SessionID string
	// URL is Stripe's page, or empty if the booking costs nothing.
	URL string
	// Confirmed reports that the booking costs nothing and is confirmed.
	Confirmed bool
	ExpiresAt time.Time
}

// Checkout creates the Checkout Session of a held booking, or returns the existing one,
// also when called concurrently on several replicas. A booking that costs nothing is
// confirmed without Stripe. [Payments.Book] makes the hold and the Checkout together.
//
// The session ends with the hold, but Stripe allows 30 minutes to 24 hours from its
// creation (https://docs.stripe.com/api/checkout/sessions/create, expires_at).
// [Payments.ExpireSessions] ends a session that outlives its hold; money that comes after
// the slot's start is refunded.
//
// The payment row is committed before the call to Stripe and the session id after it, so
// the booking must be committed. Checkout takes four round trips and one call to Stripe,
// with Options.ShapeCheckout five.
// It returns within Options.Timeout, plus at most a second to store the answer.
//
// Errors: [ErrUnavailable] (repeat, or call [Payments.Abandon]); [ErrRefused] (call
// Abandon); [ErrNotPayable]; booking.ErrHoldExpired; booking.ErrNotFound;
// context.Canceled, since browsers often repeat a dropped request, which then gets the
// same session.
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

func (p *Payments) confirmFree(ctx context.Context, bookingID string) (booking.Booking, error) {
	b, err := p.bookings.Confirm(ctx, bookingID)
	var settled *booking.StatusError
	if errors.As(err, &settled) {
		return b, fmt.Errorf("%w: %w", ErrNotPayable, err)
	}
	return b, err
}

// openSession returns the open payment of a booking with its Checkout Session.
func (p *Payments) openSession(ctx context.Context, b booking.Booking, r booking.Resource) (Payment, error) {
	pay, err := p.intend(ctx, b, r)
	if err != nil || pay.SessionID != "" && pay.URL != "" {
		return pay, err
	}
	if !p.owns(pay) {
		return Payment{}, fmt.Errorf("payments: the Checkout belongs to another Stripe account: %w", ErrUnavailable)
	}
	return p.createSession(ctx, pay)
}

// Inserts a payment for a running hold without another payment that is open, completed or
// captured. The booking is locked first, so this waits for changes of its status. The
// other payments are read as of before the wait; at worst no row is inserted. ON
// CONFLICT: another caller has inserted the row, which is then read.
const intendSQL = `
WITH held AS (
	SELECT b.id, b.hold_expires_at FROM booking_platform.bookings b
	WHERE b.id = $2::uuid AND b.status = 'pending' AND LEAST(b.hold_expires_at, lower(b.during)) > statement_timestamp()
	FOR NO KEY UPDATE)
INSERT INTO booking_platform.payments AS p (
	id, booking_id, amount_minor, currency, parameters, account, session_expires_at)
SELECT $1::uuid, h.id, $3::bigint, $4::text, $5::json, $6::text,
       LEAST(GREATEST(h.hold_expires_at, statement_timestamp() + interval '31 minutes'),
             statement_timestamp() + interval '23 hours 55 minutes')
FROM held h
WHERE NOT EXISTS (SELECT FROM booking_platform.payments o
	WHERE o.booking_id = h.id AND (NOT o.expired AND NOT o.failed OR o.captured_minor > 0))
ON CONFLICT DO NOTHING
RETURNING ` + paymentColumns

const openForBookingSQL = `SELECT ` + paymentColumns + ` FROM booking_platform.payments p
JOIN booking_platform.bookings b ON b.id = p.booking_id
WHERE p.booking_id = $1::uuid AND p.kind = 'checkout' AND NOT p.completed AND NOT p.expired AND NOT p.failed
AND p.session_expires_at > statement_timestamp()
AND b.status = 'pending' AND LEAST(b.hold_expires_at, lower(b.during)) > statement_timestamp()`

const lapsedSQL = `
SELECT b.status = 'expired' OR b.status = 'pending'
	AND LEAST(b.hold_expires_at, lower(b.during)) <= statement_timestamp()
FROM booking_platform.bookings b WHERE b.id = $1::uuid`

// intend commits the payment with a snapshot of its parameters, or returns the open one.
func (p *Payments) intend(ctx context.Context, b booking.Booking, resource booking.Resource) (Payment, error) {
	if p.opts.ShapeCheckout != nil {
		// The function is called once for a payment, and not for a booking without one.
		pay, err := p.queryPayment(ctx, "find the open payment", openForBookingSQL, b.ID)
		if !errors.Is(err, sql.ErrNoRows) {
			return pay, err
		}
		if b.Status != booking.StatusPending {
			return Payment{}, p.notPayable(ctx, b.ID)
		}
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Payment{}, fmt.Errorf("payments: make an id: %w", err)
	}
	snapshot, err := p.snapshotParams(ctx, id.String(), b, resource)
	if err != nil {
		return Payment{}, err
	}
	pay, err := p.queryPayment(ctx, "store the intent", intendSQL, id.String(), b.ID, b.Amount.Minor, b.Amount.Currency,
		snapshot, p.account)
	if !errors.Is(err, sql.ErrNoRows) {
		return pay, err
	}
	pay, err = p.queryPayment(ctx, "find the open payment", openForBookingSQL, b.ID)
	if !errors.Is(err, sql.ErrNoRows) {
		return pay, err
	}
	return Payment{}, p.notPayable(ctx, b.ID)
}

// notPayable returns why a booking has no open payment and can get none.
func (p *Payments) notPayable(ctx context.Context, bookingID string) error {
	var lapsed bool
	err := p.read(ctx, "read the hold", func(q booking.Querier) error {
		return q.QueryRowContext(ctx, lapsedSQL, bookingID).Scan(&lapsed)
	})
	if err != nil {
		return err
	}
	if lapsed {
		return booking.ErrHoldExpired
	}
	return ErrNotPayable
}

// storeLimit is the minimum time for storing Stripe's answer.
const storeLimit = time.Second

const maxAttempts = 3

// createSession calls Stripe, outside any transaction, and stores the answer.
func (p *Payments) createSession(ctx context.Context, pay Payment) (Payment, error) {
	for n := 1; ; n++ {
		s, err := p.newSession(ctx, pay)
		if err == nil {
			return p.storeSession(ctx, pay, s)
		}
		then := classify(checkoutAnswers, err)
		if then == refused {
			return Payment{}, p.refusedBy(ctx, "create the Checkout Session", pay.ID, err)
		}
		failure := p.unavailable(ctx, "create the Checkout Session", pay.ID, err)
		if then != nextKey || n == maxAttempts || ctx.Err() != nil {
			return Payment{}, failure
		}
		if pay, err = p.nextAttempt(ctx, pay, err); err != nil {
			return Payment{}, err
		}
	}
}

// newSession repeats the call while another one with the same key is in progress at
// Stripe, which then returns the same answer, even if the other caller has died.
func (p *Payments) newSession(ctx context.Context, pay Payment) (*stripe.CheckoutSession, error) {
	body, key, err := pay.sessionForm()
	if err != nil {
		return nil, err
	}
	for {
		s := &stripe.CheckoutSession{}
		params := &stripe.Params{Context: ctx, IdempotencyKey: stripe.String(key)}
		err := p.backend.CallRaw(http.MethodPost, "/v1/checkout/sessions", p.key, body, params, s)
		if err == nil && (s.ID == "" || s.URL == "") {
			return nil, errors.New("the answer is not from Stripe's API: no id or no URL")
		}
		if !inUse(err) {
			return s, err
		}
		pause := max(250*time.Millisecond, RetryAfter(err))
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// An event may have stored the id already. An abandoned payment gets none.
const storeSessionSQL = `
UPDATE booking_platform.payments AS p
SET stripe_session_id = $2, checkout_url = $3, updated_at = statement_timestamp()
WHERE p.id = $1::uuid AND (p.stripe_session_id IS NULL OR p.stripe_session_id = $2) AND NOT p.failed AND NOT p.expired
RETURNING ` + paymentColumns

// storeSession stores the session's id and URL, even if the caller has gone.
func (p *Payments) storeSession(ctx context.Context, pay Payment, s *stripe.CheckoutSession) (Payment, error) {
	limit := storeLimit
	if end, ok := ctx.Deadline(); ok {
		limit = max(limit, time.Until(end))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	stored, err := p.queryPayment(ctx, "store the Checkout Session", storeSessionSQL, pay.ID, s.ID, s.URL)
	if errors.Is(err, sql.ErrNoRows) {
		// No customer has the session's URL, so it expires unpaid.
		return Payment{}, fmt.Errorf("payments: the Checkout was abandoned meanwhile: %w", ErrUnavailable)
	}
	return stored, err
}

const (
	paramExpiresAt = "expires_at"
	paramEmail     = "customer_email"
)

const nextAttemptSQL = `
UPDATE booking_platform.payments AS p
SET attempt = p.attempt + 1, parameters = $3::json, updated_at = statement_timestamp(),
	session_expires_at = GREATEST(p.session_expires_at, statement_timestamp() + interval '31 minutes')
WHERE p.id = $1::uuid AND p.attempt = $2::int AND p.stripe_session_id IS NULL AND NOT p.failed AND NOT p.expired
RETURNING ` + paymentColumns

// nextAttempt stores another key, and parameters without what Stripe refused.
func (p *Payments) nextAttempt(ctx context.Context, pay Payment, refusal error) (Payment, error) {
	parameters, err := pay.parametersAfter(refusal)
	if err != nil {
		return Payment{}, err
	}
	next, err := p.queryPayment(ctx, "move to the next attempt", nextAttemptSQL, pay.ID, pay.attempt, parameters)
	if errors.Is(err, sql.ErrNoRows) {
		return Payment{}, fmt.Errorf("payments: changed by another caller: %w", ErrUnavailable)
	}
	return next, err
}
