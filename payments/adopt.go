package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/google/uuid"
	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/booking"
)

// ErrAdopted means that the payment at Stripe belongs to another booking, or to a
// Checkout Session of this package.
var ErrAdopted = errors.New("the payment at Stripe belongs to another booking")

// AmountError means that a payment is not of the booking's price. Nothing has changed.
type AmountError struct {
	Price, Amount booking.Money
}

func (e *AmountError) Error() string {
	return fmt.Sprintf("the payment is of %s, and the booking costs %s", e.Amount, e.Price)
}

// Adopt binds a PaymentIntent (pi_…) that the caller made at Stripe, for a Payment
// Element say, to a held booking. From then on it is a payment like a Checkout: its
// events confirm the booking, late money takes the slot again or is refunded in full,
// another amount is parked, refunds and disputes are recorded,
// [Payments.ReconcilePayments] asks Stripe if no event comes, and
// [Payments.ExpireSessions] cancels it when the hold ends.
//
//	intent, err := paymentintent.New(…)            // metadata: booking_id
//	payment, err := p.Adopt(ctx, b.ID, intent.ID)
//	// Then give the client_secret to the browser.
//
// Adopt before the customer can pay, and set the booking's id as booking_id in the
// PaymentIntent's metadata: an event that is faster than Adopt is then kept as unmatched
// and retried; without it, ignored. Either way Adopt reads the PaymentIntent from Stripe
// and applies what it finds, so that no event is needed. Stripe must capture it
// automatically, or the caller before the hold ends. Refunds reverse the transfer to its
// Connect destination and the application fee that it has when adopted.
//
// One PaymentIntent pays for one booking, and a booking has one open payment at a time. A
// repeat returns the same payment. Adopt must not be called in a transaction: it calls
// Stripe, and the booking must be committed.
//
// Errors, before money has come: an [*AmountError] if amount or currency are not the
// booking's; [ErrNotPayable] if the booking is free, not pending, or has another open
// payment, and if the PaymentIntent is cancelled; booking.ErrHoldExpired. Money that has
// come is always adopted, unless the booking is free. Further errors: [ErrAdopted];
// booking.ErrNotFound; [ErrNotFound] if Stripe does not know the PaymentIntent, or id is
// not one; [ErrUnavailable]. Safe on several replicas at once and beside events. One to
// three calls to Stripe and a transaction of about eight statements.
func (p *Payments) Adopt(ctx context.Context, bookingID, paymentIntentID string) (Payment, error) {
	found, err := p.readAdoptable(ctx, paymentIntentID)
	if err != nil {
		return Payment{}, err
	}
	if found.session.ID != "" {
		return Payment{}, fmt.Errorf("payments: adopt: it is the PaymentIntent of a Checkout Session: %w", ErrAdopted)
	}
	ctx = actingAs(ctx, "payments")
	var pay Payment
	err = p.inTxRetry(ctx, "adopt a PaymentIntent", func(tx *sql.Tx) error {
		bookings := p.bookings.Tx(tx)
		b, err := bookings.LockWithResource(ctx, bookingID)
		if err != nil {
			return err
		}
		return p.observe(ctx, tx, b.ID, func() error {
			pay, err = p.adopt(ctx, tx, bookings, b, found)
			return err
		})
	})
	if err != nil {
		return Payment{}, err
	}
	return p.Get(ctx, pay.ID)
}

// readAdoptable reads a PaymentIntent, or a Checkout Session if id is one or is its
// PaymentIntent.
func (p *Payments) readAdoptable(ctx context.Context, id string) (stripeState, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	state, err := p.readEither(ctx, id)
	switch {
	case err == nil:
		return state, nil
	case errors.Is(err, ErrNotFound):
		return state, err
	case notFound(err):
		return state, fmt.Errorf("payments: Stripe does not know %s: %w", id, ErrNotFound)
	}
	return state, p.unavailable(ctx, "read the payment to adopt", "", err)
}

func (p *Payments) readEither(ctx context.Context, id string) (stripeState, error) {
	switch {
	case stripeID(id, "cs_"):
		return p.readLostSession(ctx, id)
	case !stripeID(id, "pi_"):
		return stripeState{}, ErrNotFound
	}
	found, err := p.getIntent(ctx, id)
	if err != nil {
		return stripeState{}, err
	}
	state := p.stateOfIntent(found, false)
	// Checkout Sessions of this package name their payment in the metadata.
	if uuid.Validate(found.Metadata["payment_id"]) != nil {
		return state, nil
	}
	params := &stripe.CheckoutSessionListParams{PaymentIntent: stripe.String(id)}
	params.Context = ctx
	params.Single = true
	list := p.sessions.List(params)
	if list.Next() {
		return p.readLostSession(ctx, list.CheckoutSession().ID)
	}
	return state, list.Err()
}

// readLostSession also reads the PaymentIntent, which says what a refund reverses.
func (p *Payments) readLostSession(ctx context.Context, id string) (stripeState, error) {
	state, err := p.readSession(ctx, id)
	if err != nil || state.intent == "" {
		return state, err
	}
	found, err := p.getIntent(ctx, state.intent)
	if err != nil {
		return state, err
	}
	state.reversed(found)
	return state, nil
}

// A refund reverses a Connect destination and an application fee.
func (s *stripeState) reversed(found *stripe.PaymentIntent) {
	s.transfer, s.fee = found.TransferData != nil, found.ApplicationFeeAmount > 0
}

const adoptedSQL = `SELECT ` + paymentColumns + ` FROM booking_platform.payments p
WHERE p.stripe_payment_intent_id = nullif($1::text, '') OR p.stripe_session_id = nullif($2::text, '')
ORDER BY p.id LIMIT 1`

// $8 is true for money that came or is on its way, which is adopted in any case, and
// completed at once, because another payment may be open. Otherwise the booking needs a
// running hold and no other payment.
const adoptSQL = `
INSERT INTO booking_platform.payments AS p (id, booking_id, kind, stripe_session_id, stripe_payment_intent_id,
	checkout_url, amount_minor, currency, parameters, account, completed, session_expires_at, asked_at, refunds_unknown)
SELECT $1::uuid, b.id, $3::text, nullif($4::text, ''), nullif($5::text, ''), $6::text, b.amount_minor, b.currency,
	json_strip_nulls(json_build_object('transfer', nullif($10::boolean, false), 'fee', nullif($11::boolean, false))),
	$7::text, $8::boolean, LEAST(b.hold_expires_at, lower(b.during)),
	CASE WHEN $8::boolean THEN statement_timestamp() END, $9::integer
FROM booking_platform.bookings b
WHERE b.id = $2::uuid AND b.amount_minor > 0 AND ($8::boolean OR b.status = 'pending'
	AND LEAST(b.hold_expires_at, lower(b.during)) > statement_timestamp()
	AND NOT EXISTS (SELECT FROM booking_platform.payments o
		WHERE o.booking_id = b.id AND (NOT o.expired AND NOT o.failed OR o.captured_minor > 0)))
ON CONFLICT DO NOTHING
RETURNING ` + paymentColumns

// adopt inserts or finds the payment of a locked booking, and applies what Stripe shows.
func (p *Payments) adopt(ctx context.Context, q booking.Querier, bookings *booking.Tx, b booking.Booking,
	found stripeState) (Payment, error) {
	pay, err := scanPayment(q.QueryRowContext(ctx, adoptedSQL, found.intent, found.session.ID))
	if errors.Is(err, sql.ErrNoRows) {
		pay, err = p.insertAdopted(ctx, q, b, found)
	}
	if err != nil {
		return Payment{}, err
	}
	if pay.BookingID != b.ID || pay.Kind != found.kind() {
		return Payment{}, fmt.Errorf("adopt %s: %w", found.intent, ErrAdopted)
	}
	if found.step == nil {
		return pay, nil
	}
	outcome, err := found.apply(ctx, q, bookings, pay, b)
	if err == nil {
		p.log.LogAttrs(ctx, slog.LevelInfo, "payment adopted", slog.String("payment_id", pay.ID),
			slog.String("booking_id", b.ID), slog.String("outcome", string(outcome)))
	}
	return pay, err
}

func (p *Payments) insertAdopted(ctx context.Context, q booking.Querier, b booking.Booking,
	found stripeState) (Payment, error) {
	total, known := found.session.total()
	coming := found.step != nil && !found.cancelled
	switch {
	case b.Amount.Minor == 0:
		return Payment{}, fmt.Errorf("the booking costs nothing: %w", ErrNotPayable)
	case found.cancelled:
		return Payment{}, fmt.Errorf("the payment at Stripe has ended unpaid: %w", ErrNotPayable)
	case !coming && (!known || total != b.Amount):
		return Payment{}, &AmountError{Price: b.Amount, Amount: total}
	}
	id, err := found.paymentID(ctx, q)
	if err != nil {
		return Payment{}, err
	}
	refunds := 0
	if found.paid {
		// Refunds may have been made before: RefreshRefunds reads them.
		refunds = 1
	}
	pay, err := scanPayment(q.QueryRowContext(ctx, adoptSQL, id, b.ID, string(found.kind()), found.session.ID,
		found.intent, found.url, p.account, coming, refunds, found.transfer, found.fee))
	if !errors.Is(err, sql.ErrNoRows) {
		return pay, err
	}
	// Another transaction adopted it meanwhile, or the booking takes no payment.
	pay, err = scanPayment(q.QueryRowContext(ctx, adoptedSQL, found.intent, found.session.ID))
	if !errors.Is(err, sql.ErrNoRows) {
		return pay, err
	}
	var lapsed bool
	if err := q.QueryRowContext(ctx, lapsedSQL, b.ID).Scan(&lapsed); err != nil {
		return Payment{}, err
	}
	if lapsed {
		return Payment{}, booking.ErrHoldExpired
	}
	return Payment{}, ErrNotPayable
}

func (s stripeState) kind() Kind {
	if s.session.ID != "" {
		return KindCheckout
	}
	return KindIntent
}

// A Checkout Session whose row was lost gets the id that its events name.
func (s stripeState) paymentID(ctx context.Context, q booking.Querier) (string, error) {
	if isID(s.reference) {
		var known bool
		err := q.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM booking_platform.payments p WHERE p.id = $1::uuid)`,
			s.reference).Scan(&known)
		if err != nil || !known {
			return strings.ToLower(s.reference), err
		}
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	return id.String(), nil
}

func (p *Payments) getIntent(ctx context.Context, id string) (*stripe.PaymentIntent, error) {
	params := &stripe.PaymentIntentParams{}
	params.Context = ctx
	return p.intents.Get(id, params)
}

func (p *Payments) intentState(ctx context.Context, pay Payment) (stripeState, error) {
	found, err := p.getIntent(ctx, pay.PaymentIntentID)
	if p.gone(err) {
		return stripeState{intent: pay.PaymentIntentID, step: p.handleExpired, cancelled: true}, nil
	}
	if err != nil {
		return stripeState{}, err
	}
	return p.stateOfIntent(found, pay.completed), nil
}

// stateOfIntent follows https://docs.stripe.com/payments/paymentintents/lifecycle.
// processing: a delayed payment was known to be.
func (p *Payments) stateOfIntent(found *stripe.PaymentIntent, processing bool) stripeState {
	o := intentObject{
		ID: found.ID, Status: string(found.Status), Amount: &found.Amount, AmountReceived: found.AmountReceived,
		Currency: string(found.Currency),
	}
	if found.LatestCharge != nil {
		o.LatestCharge = chargeID(found.LatestCharge.ID)
	}
	state := stripeState{intent: found.ID, charge: string(o.LatestCharge), session: o.asSession()}
	state.reversed(found)
	switch found.Status {
	case stripe.PaymentIntentStatusSucceeded:
		state.step, state.paid = p.handleCompleted, true
	case stripe.PaymentIntentStatusCanceled:
		state.step, state.cancelled = p.handleExpired, true
	case stripe.PaymentIntentStatusProcessing:
		if !processing {
			state.step = p.handleIntentProcessing
		}
	case stripe.PaymentIntentStatusRequiresPaymentMethod:
		if processing {
			state.step = p.handleAsyncFailed
		}
	}
	return state
}

// RefreshIntent is [Payments.RefreshSession] for an adopted PaymentIntent (pi_…), for the
// page to which the Payment Element returns.
func (p *Payments) RefreshIntent(ctx context.Context, paymentIntentID string) (Payment, error) {
	pay, err := p.ByIntent(ctx, paymentIntentID)
	if err != nil {
		return pay, err
	}
	if status := pay.Status(); status != StatusOpen && status != StatusProcessing || !p.owns(pay) {
		return pay, nil
	}
	if err := p.refreshOnce(ctx, pay); err != nil {
		return pay, err
	}
	return p.Get(ctx, pay.ID)
}
