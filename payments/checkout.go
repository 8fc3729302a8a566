package payments

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"
	"unicode/utf8"

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
// the booking must be committed. Checkout takes four round trips and one call to Stripe.
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
WHERE p.booking_id = $1::uuid AND NOT p.completed AND NOT p.expired AND NOT p.failed
AND p.session_expires_at > statement_timestamp()
AND b.status = 'pending' AND LEAST(b.hold_expires_at, lower(b.during)) > statement_timestamp()`

const lapsedSQL = `
SELECT b.status = 'expired' OR b.status = 'pending'
	AND LEAST(b.hold_expires_at, lower(b.during)) <= statement_timestamp()
FROM booking_platform.bookings b WHERE b.id = $1::uuid`

// intend commits the payment with a snapshot of its parameters, or returns the open one.
func (p *Payments) intend(ctx context.Context, b booking.Booking, resource booking.Resource) (Payment, error) {
	snapshot, err := p.snapshotParams(b, resource, p.opts.RequestID(ctx))
	if err != nil {
		return Payment{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Payment{}, fmt.Errorf("payments: make an id: %w", err)
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
	var lapsed bool
	err = p.read(ctx, "read the hold", func(q booking.Querier) error {
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

// parameters is stored as JSON in the payment row. The call to Stripe is made from the
// row alone, so that a repeat sends the same bytes under the same key, whatever the
// replica or its configuration.
type parameters struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Email       string `json:"email,omitempty"`
	SuccessURL  string `json:"success_url"`
	CancelURL   string `json:"cancel_url"`
	RequestID   string `json:"request_id,omitempty"`
}

// maxMetadata is Stripe's limit of a metadata value, in characters.
const maxMetadata = 500

// snapshotParams leaves out a request id that Stripe would refuse.
func (p *Payments) snapshotParams(b booking.Booking, r booking.Resource, requestID string) (string, error) {
	zone, err := r.Zone()
	if err != nil {
		return "", fmt.Errorf("payments: zone of resource %s: %w", r.Slug, err)
	}
	if utf8.RuneCountInString(requestID) > maxMetadata {
		requestID = ""
	}
	snapshot, err := json.Marshal(parameters{
		Name:        r.Name,
		Description: describe(b, b.Start.In(zone).Format("Monday 2 January 2006, 15:04 MST")),
		Email:       b.Customer.Email,
		// Stripe replaces the braces, which must not be escaped.
		SuccessURL: p.appURL + "/success?session_id={CHECKOUT_SESSION_ID}",
		CancelURL:  p.appURL + "/cancel?booking=" + url.QueryEscape(b.ID),
		RequestID:  requestID,
	})
	return string(snapshot), err
}

func describe(b booking.Booking, when string) string {
	if b.Party == 1 {
		return when
	}
	return when + ", " + strconv.Itoa(b.Party) + " people"
}

func (p Payment) snapshot() (parameters, error) {
	var snapshot parameters
	if err := json.Unmarshal([]byte(p.parameters), &snapshot); err != nil {
		return parameters{}, fmt.Errorf("payments: stored parameters of %s: %w", p.ID, err)
	}
	return snapshot, nil
}

func (p Payment) sessionParams() (*stripe.CheckoutSessionParams, error) {
	snapshot, err := p.snapshot()
	if err != nil {
		return nil, err
	}
	metadata := map[string]string{"payment_id": p.ID, "booking_id": p.BookingID}
	if snapshot.RequestID != "" {
		metadata["request_id"] = snapshot.RequestID
	}
	product := &stripe.CheckoutSessionLineItemPriceDataProductDataParams{Name: stripe.String(snapshot.Name)}
	if snapshot.Description != "" {
		product.Description = stripe.String(snapshot.Description)
	}
	params := &stripe.CheckoutSessionParams{
		Mode:              stripe.String(string(stripe.CheckoutSessionModePayment)),
		ClientReferenceID: stripe.String(p.ID),
		SuccessURL:        stripe.String(snapshot.SuccessURL),
		CancelURL:         stripe.String(snapshot.CancelURL),
		ExpiresAt:         stripe.Int64(p.ExpiresAt.Unix()),
		Metadata:          metadata,
		// Refunds and disputes name the PaymentIntent only; its metadata identifies the
		// payment.
		PaymentIntentData: &stripe.CheckoutSessionPaymentIntentDataParams{Metadata: metadata},
		LineItems: []*stripe.CheckoutSessionLineItemParams{{
			Quantity: stripe.Int64(1),
			PriceData: &stripe.CheckoutSessionLineItemPriceDataParams{
				Currency:    stripe.String(p.Amount.Currency),
				UnitAmount:  stripe.Int64(p.Amount.Minor),
				ProductData: product,
			},
		}},
	}
	if snapshot.Email != "" {
		params.CustomerEmail = stripe.String(snapshot.Email)
	}
	params.SetIdempotencyKey("checkout-" + p.ID + "-" + strconv.Itoa(p.attempt))
	return params, nil
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
	params, err := pay.sessionParams()
	if err != nil {
		return nil, err
	}
	params.Context = ctx
	for {
		s, err := p.sessions.New(params)
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

// parametersAfter removes an e-mail address that Stripe refused; its page then asks for
// one.
func (p Payment) parametersAfter(refusal error) (string, error) {
	var se *stripe.Error
	if !errors.As(refusal, &se) || se.Param != paramEmail {
		return p.parameters, nil
	}
	snapshot, err := p.snapshot()
	if err != nil {
		return "", err
	}
	snapshot.Email = ""
	text, err := json.Marshal(snapshot)
	return string(text), err
}
