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

// parameters is the part of a Checkout Session that is frozen as JSON in the payment row;
// amount, currency and the end are columns of it. Everything that reaches Stripe is made
// from the row alone, so that a repeat, on whichever replica and after whichever change
// of configuration, sends the same bytes under the same key.
type parameters struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Email       string `json:"email,omitempty"`
	SuccessURL  string `json:"success_url"`
	CancelURL   string `json:"cancel_url"`
	RequestID   string `json:"request_id,omitempty"`
}

// maxMetadata is how many characters Stripe takes of a value in metadata.
const maxMetadata = 500

// snapshotParams fixes what the session is going to say. A request id that Stripe would refuse is
// not worth the payment.
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
		// The braces are Stripe's template, which it fills in itself; escaped they would
		// stay as they are.
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
		return parameters{}, fmt.Errorf("payments: frozen parameters of %s: %w", p.ID, err)
	}
	return snapshot, nil
}

// sessionParams turns a row into the call. The idempotency key is the row's and its
// attempt's.
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
		// Charges, refunds and disputes name the PaymentIntent only: its metadata lets
		// them find the payment too.
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

// storeLimit is what the storing of Stripe's answer has at least. It may go beyond the
// limit of the whole, which the call may have used up.
const storeLimit = time.Second

// maxAttempts bounds how many keys one Checkout goes through.
const maxAttempts = 3

// createSession calls Stripe, outside any transaction, and stores what it answered.
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

// newSession asks Stripe, and asks again while another caller's call under the same key,
// on whichever replica, is under way there: once that is answered, Stripe answers us the
// same, even if the other caller has died meanwhile.
func (p *Payments) newSession(ctx context.Context, pay Payment) (*stripe.CheckoutSession, error) {
	params, err := pay.sessionParams()
	if err != nil {
		return nil, err
	}
	params.Context = ctx
	for {
		s, err := p.sessions.New(params)
		if err == nil && (s.ID == "" || s.URL == "") {
			return nil, errors.New("what answered is not Stripe's API: no id or no URL")
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

// The event of a session may have come first and have named it already. One whose payment
// was given up meanwhile is not stored.
const storeSessionSQL = `
UPDATE booking_platform.payments AS p
SET stripe_session_id = $2, checkout_url = $3, updated_at = statement_timestamp()
WHERE p.id = $1::uuid AND (p.stripe_session_id IS NULL OR p.stripe_session_id = $2) AND NOT p.failed AND NOT p.expired
RETURNING ` + paymentColumns

// storeSession stores the session's id and URL, even when the customer has just gone
// away.
func (p *Payments) storeSession(ctx context.Context, pay Payment, s *stripe.CheckoutSession) (Payment, error) {
	limit := storeLimit
	if end, ok := ctx.Deadline(); ok {
		limit = max(limit, time.Until(end))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	stored, err := p.queryPayment(ctx, "store the Checkout Session", storeSessionSQL, pay.ID, s.ID, s.URL)
	if errors.Is(err, sql.ErrNoRows) {
		// Nobody is told this session's URL, so nobody pays there, and it ends by itself.
		return Payment{}, fmt.Errorf("payments: the Checkout was given up meanwhile: %w", ErrUnavailable)
	}
	return stored, err
}

const (
	paramExpiresAt = "expires_at"
	paramEmail     = "customer_email"
)

// The session's end is counted anew, with the key.
const nextAttemptSQL = `
UPDATE booking_platform.payments AS p
SET attempt = p.attempt + 1, parameters = $3::json, updated_at = statement_timestamp(),
	session_expires_at = GREATEST(p.session_expires_at, statement_timestamp() + interval '31 minutes')
WHERE p.id = $1::uuid AND p.attempt = $2::int AND p.stripe_session_id IS NULL AND NOT p.failed AND NOT p.expired
RETURNING ` + paymentColumns

// nextAttempt freezes another key, and parameters without what Stripe has refused.
func (p *Payments) nextAttempt(ctx context.Context, pay Payment, refusal error) (Payment, error) {
	parameters, err := pay.parametersAfter(refusal)
	if err != nil {
		return Payment{}, err
	}
	next, err := p.queryPayment(ctx, "move to the next attempt", nextAttemptSQL, pay.ID, pay.attempt, parameters)
	if errors.Is(err, sql.ErrNoRows) {
		return Payment{}, fmt.Errorf("payments: another caller was faster: %w", ErrUnavailable)
	}
	return next, err
}

// parametersAfter leaves out an address that Stripe does not take: its page asks the
// customer for one.
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
