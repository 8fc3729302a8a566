package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// RefundStatus is where a refund is. It only goes forward.
type RefundStatus string

// The statuses of a refund. All but RefundDue are Stripe's
// (https://docs.stripe.com/api/refunds/object, status).
const (
	// RefundDue is an intent: Stripe has not answered yet. [Payments.SettleRefunds] sees
	// to it.
	RefundDue RefundStatus = "due"
	// RefundPending was made at Stripe, and the money is on its way, or will be once the
	// account's balance covers it or the customer has done what Stripe asks of them.
	RefundPending RefundStatus = "pending"
	// RefundSucceeded has reached the customer's bank.
	RefundSucceeded RefundStatus = "succeeded"
	// RefundFailed was refused, by Stripe or by the customer's bank, perhaps after it had
	// succeeded: the money is back here. It may be asked for again under another cause.
	RefundFailed RefundStatus = "failed"
	// RefundCanceled was taken back at Stripe: the money is here, and may be asked for
	// again.
	RefundCanceled RefundStatus = "canceled"
)

// CauseCancelled is the cause of a refund that [Payments.Cancel] makes. The others of
// this package are the reasons for which a payment is not applied ([ReasonLate],
// [ReasonCancelled], [ReasonPaidTwice]), and "stripe:" with the refund's id for one that
// was made at Stripe.
const CauseCancelled = "cancelled"

// RefundOrigin tells who made a refund. Each origin has causes of its own: a caller's
// cause "cancelled" is another than the one of [Payments.Cancel].
type RefundOrigin string

// The origins of refunds.
const (
	// OriginPayments: this package, by a policy or because money could not be applied.
	OriginPayments RefundOrigin = "payments"
	// OriginRequest: a caller of Payments.Refund.
	OriginRequest RefundOrigin = "request"
	// OriginRetry: a caller of Payments.RetryRefund.
	OriginRetry RefundOrigin = "retry"
	// OriginStripe: made at Stripe, in the dashboard for instance.
	OriginStripe RefundOrigin = "stripe"
)

// ErrNothingToRefund tells that all of what was paid has been given back, or is about to
// be, or that nothing was paid.
var ErrNothingToRefund = errors.New("nothing is left to refund")

// ErrDisputed tells that a dispute of the payment is open: Stripe refuses refunds of it,
// and what is decided may go to the customer that way. Once it is over, ask again; what a
// cancellation gives back is then committed to by itself.
var ErrDisputed = errors.New("the payment is disputed: nothing can be refunded until the dispute is over")

// RefundTooLargeError tells that less is left of a payment than was asked for. Nothing
// has changed.
type RefundTooLargeError struct {
	// Asked is what was asked for, and Left what may still be given back.
	Asked, Left booking.Money
}

// Error names both amounts.
func (e *RefundTooLargeError) Error() string {
	return fmt.Sprintf("refund of %s is more than the %s that are left", e.Asked, e.Left)
}

// Refund is money that goes back to the customer. Times are UTC.
type Refund struct {
	// ID is ours, a UUIDv7; PaymentID is the payment it is of.
	ID, PaymentID string
	// Origin is who made it, and Cause why, once for each payment and origin: the same
	// cause never gives money back twice.
	Origin RefundOrigin
	Cause  string
	// Amount is in the currency that was paid.
	Amount booking.Money
	// Status is where it is.
	Status RefundStatus
	// StripeID is Stripe's id (re_…); empty while it is due.
	StripeID string
	// Failure is Stripe's word for why it failed; empty else.
	Failure string
	// Asked is what was asked for, in minor units; 0 is all that was left. Amount is
	// lower where some of the payment was given back at Stripe meanwhile.
	Asked int64
	// Reason and Actor are what was said to it, and who asked for it.
	Reason, Actor string
	// Tries counts the calls to Stripe, LastError is what the last of them came to, and
	// NextTry is when the next one is due. LastError of one that is pending is
	// "requires_action" while Stripe waits for the customer, whom it has asked for a bank
	// account.
	Tries     int
	LastError string
	NextTry   time.Time
	// CreatedAt and UpdatedAt are by the database's clock.
	CreatedAt, UpdatedAt time.Time
}

// refundColumns is what scanRefund reads, in its order.
const refundColumns = `r.id::text, r.payment_id::text, r.cause, r.amount_minor, r.currency, r.status, coalesce(r.stripe_refund_id, ''),
	r.failure, r.reason, r.actor, r.tries, r.last_error, r.next_try_at, r.created_at, r.updated_at, r.origin, r.asked_minor`

func scanRefund(row interface{ Scan(...any) error }) (Refund, error) {
	var r Refund
	err := row.Scan(&r.ID, &r.PaymentID, &r.Cause, &r.Amount.Minor, &r.Amount.Currency, &r.Status, &r.StripeID,
		&r.Failure, &r.Reason, &r.Actor, &r.Tries, &r.LastError, &r.NextTry, &r.CreatedAt, &r.UpdatedAt, &r.Origin,
		&r.Asked)
	r.NextTry, r.CreatedAt, r.UpdatedAt = r.NextTry.UTC(), r.CreatedAt.UTC(), r.UpdatedAt.UTC()
	return r, err
}

const refundsOfSQL = `SELECT ` + refundColumns +
	` FROM booking_platform.refunds r WHERE r.payment_id = $1::uuid ORDER BY r.id`

// Refunds returns the refunds of a payment, the oldest first; none is no error. One round
// trip.
func (p *Payments) Refunds(ctx context.Context, paymentID string) ([]Refund, error) {
	if !isID(paymentID) {
		return nil, nil
	}
	return p.refunds(ctx, "list refunds", refundsOfSQL, paymentID)
}

const troubledSQL = `SELECT ` + refundColumns + ` FROM booking_platform.refunds r
WHERE r.id = ANY (ARRAY(
	SELECT f.id FROM (` + waitsRefusedSQL + `) f
	UNION ALL SELECT r.id FROM booking_platform.refunds r WHERE r.status = 'due' AND r.tries >= 3 AND ` + undisputedSQL + `
	UNION ALL SELECT s.id FROM booking_platform.refunds s
	          WHERE s.status = 'pending' AND (s.last_error <> '' OR s.created_at < statement_timestamp() - interval '14 days')))
AND EXISTS (SELECT FROM booking_platform.payments p WHERE p.id = r.payment_id AND p.account IN ('', $2::text))
ORDER BY r.id DESC LIMIT $1::int`

// TroubledRefunds returns the refunds that a person should look at, the newest first, 500
// at most: those that [Backlog] counts as failed, failed or canceled with no other in
// their place; those that Stripe could not be brought to make in three tries; and those
// that are on their way for 14 days, or wait for the customer. One round trip.
func (p *Payments) TroubledRefunds(ctx context.Context) ([]Refund, error) {
	return p.refunds(ctx, "list troubled refunds", troubledSQL, 500, p.account)
}

func (p *Payments) refunds(ctx context.Context, what, query string, args ...any) ([]Refund, error) {
	var out []Refund
	err := p.read(ctx, what, func(q booking.Querier) (err error) {
		out, err = scanRefunds(ctx, q, query, args...)
		return err
	})
	return out, err
}

func scanRefunds(ctx context.Context, q booking.Querier, query string, args ...any) ([]Refund, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []Refund
	for rows.Next() {
		r, err := scanRefund(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// queryRefund runs a statement that returns one refund; false when there is none.
func queryRefund(ctx context.Context, q booking.Querier, query string, args ...any) (Refund, bool, error) {
	r, err := scanRefund(q.QueryRowContext(ctx, query, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return Refund{}, false, nil
	}
	return r, err == nil, err
}
