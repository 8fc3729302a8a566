package payments

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/booking-platform/booking-platform/booking"
)

// Status is derived from a payment's facts; it is not stored.
type Status string

// The statuses of a payment.
const (
	// StatusOpen: waiting for the customer.
	StatusOpen Status = "open"
	// StatusProcessing: completed with a delayed payment method, money not received.
	StatusProcessing Status = "processing"
	// StatusPaid: money received.
	StatusPaid              Status = "paid"
	StatusPartiallyRefunded Status = "partially_refunded"
	StatusRefunded          Status = "refunded"
	// StatusDisputed: a dispute is open; no refund is made meanwhile.
	StatusDisputed Status = "disputed"
	// StatusDisputeLost: no dispute is open and at least one is lost.
	StatusDisputeLost Status = "dispute_lost"
	// StatusFailed: a delayed payment method was refused, or the Checkout was abandoned.
	StatusFailed Status = "failed"
	// StatusExpired: not paid in time.
	StatusExpired Status = "expired"
	// StatusParked: an operator must decide; see Payment.ParkedReason.
	StatusParked Status = "parked"
)

// The reasons for which a payment is parked, or is unapplied and refunded.
const (
	// ReasonAmount: amount or currency differ from the booking's price.
	ReasonAmount = "amount_differs"
	// ReasonLate: the money came after the hold had expired.
	ReasonLate = "hold_expired"
	// ReasonCancelled: the money came for a cancelled booking.
	ReasonCancelled = "booking_cancelled"
	// ReasonPaidTwice: another Checkout Session had paid for the booking.
	ReasonPaidTwice = "booking_already_paid"
)

// Kind is how the money comes.
type Kind string

// The kinds of payments.
const (
	// KindCheckout: a Checkout Session of [Payments.Checkout] or [Payments.Book].
	KindCheckout Kind = "checkout"
	// KindIntent: a PaymentIntent that [Payments.Adopt] bound to the booking.
	KindIntent Kind = "intent"
	// KindDesk: money that did not pass through Stripe; see [Payments.RecordDesk].
	KindDesk Kind = "desk"
)

// Payment is one Checkout Session, adopted PaymentIntent or payment at the desk of one
// booking. Amounts are in minor units, times in UTC.
type Payment struct {
	// ID is a UUIDv7: the session's client_reference_id, and payment_id in its metadata.
	ID        string
	BookingID string
	Kind      Kind
	// SessionID is Stripe's (cs_…), empty until it is known and for other kinds.
	SessionID string
	// PaymentIntentID is Stripe's (pi_…), empty at the desk and until a Checkout is paid.
	PaymentIntentID string
	// Account is Options.Account and the mode of the key, such as "live" or "shop/test".
	Account string
	// URL is Stripe's page for the customer, empty until it is known.
	URL string
	// Amount is the booking's price.
	Amount booking.Money
	// Captured is what was paid, in the currency of Amount unless parked with
	// ReasonAmount.
	Captured booking.Money
	// Refunded is what Stripe has refunded or is refunding, in the currency of Captured;
	// refunds that are due are not in it.
	Refunded booking.Money
	// Lost is what lost disputes took, in the currency of Captured. It is never refunded.
	Lost booking.Money
	// OpenDisputes counts undecided [Payments.Disputes].
	OpenDisputes int
	// Unapplied is the Reason for which the money is refunded, or empty.
	Unapplied string
	// ParkedReason is the Reason for which the payment is parked, or empty.
	ParkedReason string
	// ExpiresAt is the end of the Checkout Session, or of an adopted PaymentIntent's
	// hold.
	ExpiresAt time.Time
	// ReconciledAt is when an answer of Stripe's, not an event, first changed the
	// payment, see [Payments.ReconcilePayments], or zero.
	ReconciledAt time.Time
	// Method, Reference and Actor are a [DeskPayment]'s, else empty.
	Method, Reference, Actor string
	// By the database's clock, as ReconciledAt.
	CreatedAt, UpdatedAt time.Time

	completed, failed, expired, parked bool
	parameters                         string
	attempt                            int
}

// Status is Parked first while there is something to decide.
func (p Payment) Status() Status {
	switch {
	case p.parked && !p.nothingParked():
		return StatusParked
	case p.OpenDisputes > 0:
		return StatusDisputed
	case p.Lost.Minor > 0:
		return StatusDisputeLost
	case p.Captured.Minor > 0 && p.Refunded.Minor >= p.Captured.Minor:
		return StatusRefunded
	case p.Refunded.Minor > 0:
		return StatusPartiallyRefunded
	case p.Captured.Minor > 0:
		return StatusPaid
	case p.failed:
		return StatusFailed
	case p.expired:
		return StatusExpired
	case p.completed:
		return StatusProcessing
	default:
		return StatusOpen
	}
}

// Applied reports whether the money pays for the booking: received, neither parked nor
// unapplied.
func (p Payment) Applied() bool { return p.Captured.Minor > 0 && !p.parked && p.Unapplied == "" }

// GoesBack returns how much of amount, what a cancellation gives back in the currency of
// Captured, refunds pay: less what lost disputes took, and during a dispute only what was
// refunded before.
func (p Payment) GoesBack(amount booking.Money) booking.Money {
	if p.OpenDisputes > 0 {
		amount.Minor = min(amount.Minor, p.Refunded.Minor)
		return amount
	}
	amount.Minor = max(0, amount.Minor-p.Lost.Minor)
	return amount
}

// nothingParked: all money was given back or none will come.
func (p Payment) nothingParked() bool {
	if p.Captured.Minor == 0 {
		return p.failed || p.expired
	}
	return p.Refunded.Minor+p.Lost.Minor >= p.Captured.Minor
}

const paymentColumns = `p.id::text, p.booking_id::text, coalesce(p.stripe_session_id, ''),
	coalesce(p.stripe_payment_intent_id, ''), p.checkout_url, p.amount_minor, p.currency, p.captured_minor,
	coalesce(nullif(p.captured_currency, ''), p.currency), p.refunded_minor, p.parked_reason,
	p.session_expires_at, p.created_at, p.updated_at, p.completed, p.failed, p.expired, p.parked,
	p.disputes_open, p.dispute_lost_minor, p.parameters::text, p.attempt, p.unapplied, p.asked_at, p.account,
	p.kind, p.method, p.reference, p.actor`

func scanPayment(row interface{ Scan(...any) error }) (Payment, error) {
	var p Payment
	var asked sql.NullTime
	err := row.Scan(&p.ID, &p.BookingID, &p.SessionID, &p.PaymentIntentID,
		&p.URL, &p.Amount.Minor, &p.Amount.Currency, &p.Captured.Minor, &p.Captured.Currency, &p.Refunded.Minor,
		&p.ParkedReason,
		&p.ExpiresAt, &p.CreatedAt, &p.UpdatedAt, &p.completed, &p.failed, &p.expired, &p.parked,
		&p.OpenDisputes, &p.Lost.Minor, &p.parameters, &p.attempt, &p.Unapplied, &asked, &p.Account,
		&p.Kind, &p.Method, &p.Reference, &p.Actor)
	p.Refunded.Currency, p.Lost.Currency = p.Captured.Currency, p.Captured.Currency
	if asked.Valid {
		p.ReconciledAt = asked.Time.UTC()
	}
	p.ExpiresAt, p.CreatedAt, p.UpdatedAt = p.ExpiresAt.UTC(), p.CreatedAt.UTC(), p.UpdatedAt.UTC()
	return p, err
}

const byIDSQL = `SELECT ` + paymentColumns + ` FROM booking_platform.payments p WHERE p.id = $1::uuid`

// Get returns a payment by id, or ErrNotFound. One round trip.
func (p *Payments) Get(ctx context.Context, id string) (Payment, error) {
	if !isID(id) {
		return Payment{}, ErrNotFound
	}
	return p.one(ctx, "by id", byIDSQL, id)
}

// The applied payment counts, else the latest.
const forBookingSQL = `SELECT ` + paymentColumns + ` FROM booking_platform.payments p
WHERE p.booking_id = $1::uuid ORDER BY (p.captured_minor > 0 AND NOT p.parked AND p.unapplied = '') DESC, p.id DESC
	LIMIT 1`

// ForBooking returns the payment that counts for a booking, or ErrNotFound if it has
// none, as a free one. One round trip.
func (p *Payments) ForBooking(ctx context.Context, bookingID string) (Payment, error) {
	if !isID(bookingID) {
		return Payment{}, ErrNotFound
	}
	return p.one(ctx, "for booking", forBookingSQL, bookingID)
}

const bySessionSQL = `SELECT ` + paymentColumns + ` FROM booking_platform.payments p WHERE p.stripe_session_id = $1`

// BySession returns a Checkout Session's (cs_…) payment, or ErrNotFound. One round trip.
func (p *Payments) BySession(ctx context.Context, sessionID string) (Payment, error) {
	// Postgres rejects NUL in text.
	for _, r := range sessionID {
		if r < ' ' || r > '~' {
			return Payment{}, ErrNotFound
		}
	}
	return p.one(ctx, "by session", bySessionSQL, sessionID)
}

const byIntentSQL = `SELECT ` + paymentColumns + ` FROM booking_platform.payments p
WHERE p.stripe_payment_intent_id = $1 ORDER BY p.id LIMIT 1`

// ByIntent returns a PaymentIntent's (pi_…) payment, adopted or of a Checkout Session, or
// ErrNotFound. One round trip.
func (p *Payments) ByIntent(ctx context.Context, intentID string) (Payment, error) {
	if !stripeID(intentID, "pi_") {
		return Payment{}, ErrNotFound
	}
	return p.one(ctx, "by PaymentIntent", byIntentSQL, intentID)
}

func stripeID(id, prefix string) bool {
	rest, ok := strings.CutPrefix(id, prefix)
	if !ok || rest == "" || len(id) > 255 {
		return false
	}
	for _, r := range rest {
		if r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return false
		}
	}
	return true
}

func (p *Payments) one(ctx context.Context, what, query, arg string) (Payment, error) {
	pay, err := p.queryPayment(ctx, what, query, arg)
	if errors.Is(err, sql.ErrNoRows) {
		return Payment{}, ErrNotFound
	}
	return pay, err
}

// uuid.Validate also accepts longer forms, which Postgres refuses.
func isID(id string) bool { return len(id) == 36 && uuid.Validate(id) == nil }
