package payments

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// Status is what the facts of a payment amount to. It is derived, never stored beside
// them.
type Status string

// The statuses of a payment.
const (
	// Open waits for the customer.
	Open Status = "open"
	// Processing was completed by a delayed method, and the money has not come yet.
	Processing Status = "processing"
	// Paid has the money.
	Paid Status = "paid"
	// PartiallyRefunded gave some of it back.
	PartiallyRefunded Status = "partially_refunded"
	// Refunded gave all of it back.
	Refunded Status = "refunded"
	// Disputed has a dispute that is open, or several. No refund of it is made meanwhile.
	Disputed Status = "disputed"
	// DisputeLost has no open dispute, and has lost one: Payment.Lost is with the
	// customer.
	DisputeLost Status = "dispute_lost"
	// Failed was refused by a delayed method, or could never be begun.
	Failed Status = "failed"
	// Expired was not paid in time.
	Expired Status = "expired"
	// Parked waits for a person; ParkedReason says why.
	Parked Status = "parked"
)

// Payment is one Checkout Session for one booking. Amounts are in minor units; times are
// UTC.
type Payment struct {
	// ID is ours, a UUIDv7: the session's client_reference_id, and payment_id in its
	// metadata.
	ID string
	// BookingID is the booking that it pays for.
	BookingID string
	// SessionID is Stripe's id (cs_…); empty until Stripe has answered or an event has
	// named it.
	SessionID string
	// PaymentIntentID is Stripe's id (pi_…); empty until it was paid.
	PaymentIntentID string
	// Account is whose payment it is at Stripe: Options.Account and the mode of the key,
	// such as "live" or "shop/test".
	Account string
	// URL is Stripe's page for the customer; empty until Stripe has answered.
	URL string
	// Amount is what was asked for.
	Amount booking.Money
	// Captured is what Stripe says was paid: in the currency of Amount, unless the
	// payment is parked with ReasonAmount.
	Captured booking.Money
	// Refunded is what has gone back or is on its way, in the currency of Captured: what
	// Stripe has been asked for and has not refused. What is due and has not been asked
	// for is not in it.
	Refunded booking.Money
	// Lost is what lost disputes took, in the currency of Captured. It counts as given
	// back: it is never refunded.
	Lost booking.Money
	// OpenDisputes is how many disputes of it are undecided; see [Payments.Disputes].
	OpenDisputes int
	// Unapplied says in one word why the money was not applied to the booking and goes
	// back: see the Reason constants. Empty when it was applied, or has not come.
	Unapplied string
	// ParkedReason says in one word why a person has to look: see the Reason constants.
	// Empty unless parked.
	ParkedReason string
	// ExpiresAt is when the Checkout Session ends by itself.
	ExpiresAt time.Time
	// ReconciledAt is when Stripe, asked by [Payments.RefreshSession] or [Payments.ReconcilePayments], first said
	// something that was applied to the payment: what it has no event for in the ledger
	// came from there. Zero when only events have told of it.
	ReconciledAt time.Time
	// CreatedAt and UpdatedAt are by the database's clock, as ReconciledAt is.
	CreatedAt, UpdatedAt time.Time

	completed, failed, expired, parked bool
	parameters                         string
	attempt                            int
}

// Status derives the status from the facts. Parked comes first, because a person has to
// look whatever else is true, as long as there is something to decide.
func (p Payment) Status() Status {
	switch {
	case p.parked && !p.nothingParked():
		return Parked
	case p.OpenDisputes > 0:
		return Disputed
	case p.Lost.Minor > 0:
		return DisputeLost
	case p.Captured.Minor > 0 && p.Refunded.Minor >= p.Captured.Minor:
		return Refunded
	case p.Refunded.Minor > 0:
		return PartiallyRefunded
	case p.Captured.Minor > 0:
		return Paid
	case p.failed:
		return Failed
	case p.expired:
		return Expired
	case p.completed:
		return Processing
	default:
		return Open
	}
}

// Applied tells whether money came and pays for the booking. It does not while a person
// has to decide about it (ParkedReason), nor where it goes back because it came too late
// or twice (Unapplied).
func (p Payment) Applied() bool { return p.Captured.Minor > 0 && !p.parked && p.Unapplied == "" }

// GoesBack is what the customer gets through us of an amount that a cancellation gives
// back: less what lost disputes took, and while a dispute is open no more than what has
// been refunded before it. amount is in the currency of Captured.
func (p Payment) GoesBack(amount booking.Money) booking.Money {
	if p.OpenDisputes > 0 {
		amount.Minor = min(amount.Minor, p.Refunded.Minor)
		return amount
	}
	amount.Minor = max(0, amount.Minor-p.Lost.Minor)
	return amount
}

// nothingParked tells whether there is no money to decide about: all of it has gone back,
// or it never came and will not.
func (p Payment) nothingParked() bool {
	if p.Captured.Minor == 0 {
		return p.failed || p.expired
	}
	return p.Refunded.Minor+p.Lost.Minor >= p.Captured.Minor
}

// paymentColumns is what scanPayment reads, in its order.
const paymentColumns = `p.id::text, p.booking_id::text, coalesce(p.stripe_session_id, ''), coalesce(p.stripe_payment_intent_id, ''),
	p.checkout_url, p.amount_minor, p.currency, p.captured_minor, coalesce(nullif(p.captured_currency, ''), p.currency),
	p.refunded_minor, p.parked_reason,
	p.session_expires_at, p.created_at, p.updated_at, p.completed, p.failed, p.expired, p.parked,
	p.disputes_open, p.dispute_lost_minor, p.parameters::text, p.attempt, p.unapplied, p.asked_at, p.account`

func scanPayment(row interface{ Scan(...any) error }) (Payment, error) {
	var p Payment
	var asked sql.NullTime
	err := row.Scan(&p.ID, &p.BookingID, &p.SessionID, &p.PaymentIntentID,
		&p.URL, &p.Amount.Minor, &p.Amount.Currency, &p.Captured.Minor, &p.Captured.Currency, &p.Refunded.Minor,
		&p.ParkedReason,
		&p.ExpiresAt, &p.CreatedAt, &p.UpdatedAt, &p.completed, &p.failed, &p.expired, &p.parked,
		&p.OpenDisputes, &p.Lost.Minor, &p.parameters, &p.attempt, &p.Unapplied, &asked, &p.Account)
	p.Refunded.Currency, p.Lost.Currency = p.Captured.Currency, p.Captured.Currency
	if asked.Valid {
		p.ReconciledAt = asked.Time.UTC()
	}
	p.ExpiresAt, p.CreatedAt, p.UpdatedAt = p.ExpiresAt.UTC(), p.CreatedAt.UTC(), p.UpdatedAt.UTC()
	return p, err
}

// The payment that counts for a booking is the one that has money, else the latest.
const forBookingSQL = `SELECT ` + paymentColumns + ` FROM booking_platform.payments p
WHERE p.booking_id = $1::uuid ORDER BY (p.captured_minor > 0 AND NOT p.parked AND p.unapplied = '') DESC, p.id DESC LIMIT 1`

// ForBooking returns the payment that counts for a booking: the one that was paid, else
// the latest. A booking without one, a free one for instance, gives ErrNotFound. One
// round trip.
func (p *Payments) ForBooking(ctx context.Context, bookingID string) (Payment, error) {
	if !isID(bookingID) {
		return Payment{}, ErrNotFound
	}
	return p.one(ctx, "for booking", forBookingSQL, bookingID)
}

const bySessionSQL = `SELECT ` + paymentColumns + ` FROM booking_platform.payments p WHERE p.stripe_session_id = $1`

// BySession returns the payment of a Checkout Session (cs_…), or ErrNotFound. One round
// trip.
func (p *Payments) BySession(ctx context.Context, sessionID string) (Payment, error) {
	// Postgres refuses a NUL in a text, and no session id has one.
	for _, r := range sessionID {
		if r < ' ' || r > '~' {
			return Payment{}, ErrNotFound
		}
	}
	return p.one(ctx, "by session", bySessionSQL, sessionID)
}

func (p *Payments) one(ctx context.Context, what, query, arg string) (Payment, error) {
	pay, err := p.queryPayment(ctx, what, query, arg)
	if errors.Is(err, sql.ErrNoRows) {
		return Payment{}, ErrNotFound
	}
	return pay, err
}
