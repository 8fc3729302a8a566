package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// RefundStatus only moves forward.
type RefundStatus string

// The statuses of a refund. All but RefundDue are Stripe's
// (https://docs.stripe.com/api/refunds/object, status).
const (
	// RefundDue: committed, not made yet, see [Payments.SettleRefunds], and
	// [Payments.MarkRefundPaid] for money at the desk.
	RefundDue RefundStatus = "due"
	// RefundPending: made at Stripe; the money is on its way, or waits for the account's
	// balance or the customer.
	RefundPending RefundStatus = "pending"
	// RefundSucceeded: the money has reached the customer's bank.
	RefundSucceeded RefundStatus = "succeeded"
	// RefundFailed: refused by Stripe or the bank, possibly after it had succeeded. The
	// money can be refunded under another cause.
	RefundFailed RefundStatus = "failed"
	// RefundCanceled: canceled at Stripe. The money can be refunded again.
	RefundCanceled RefundStatus = "canceled"
)

// CauseCancelled is the cause of [Payments.Cancel]'s refunds. Others of this package are
// [ReasonLate], [ReasonCancelled] and [ReasonPaidTwice], and "stripe:" with the refund's
// id.
const CauseCancelled = "cancelled"

// RefundOrigin is what made a refund. Causes are unique per origin.
type RefundOrigin string

// The origins of refunds.
const (
	// OriginPayments: this package, by a policy or for unapplied money.
	OriginPayments RefundOrigin = "payments"
	// OriginRequest: [Payments.Refund].
	OriginRequest RefundOrigin = "request"
	// OriginRetry: [Payments.RetryRefund] or [Payments.RecordRefund].
	OriginRetry RefundOrigin = "retry"
	// OriginStripe: made at Stripe, as in the dashboard.
	OriginStripe RefundOrigin = "stripe"
)

// ErrNothingToRefund means that nothing is left to refund.
var ErrNothingToRefund = errors.New("nothing is left to refund")

// ErrDisputed means that a dispute is open, during which Stripe refuses refunds. What a
// cancellation gives back is refunded after it.
var ErrDisputed = errors.New("the payment is disputed: nothing can be refunded until the dispute is over")

// RefundTooLargeError means that less than was requested is left. Nothing has changed.
type RefundTooLargeError struct {
	Asked, Left booking.Money
}

func (e *RefundTooLargeError) Error() string {
	return fmt.Sprintf("refund of %s exceeds the %s that are left", e.Asked, e.Left)
}

// Refund is money that is returned to the customer. Times are UTC.
type Refund struct {
	// ID is a UUIDv7.
	ID, PaymentID string
	// Unique together per payment: a cause never refunds twice.
	Origin RefundOrigin
	Cause  string
	// Amount is in the currency that was paid.
	Amount booking.Money
	Status RefundStatus
	// StripeID is re_…, empty while the refund is due or if it was paid in another way
	// ([Payments.RecordRefund]).
	StripeID string
	// Failure is Stripe's code if the refund failed.
	Failure string
	// Asked is the requested minor units, 0 for all that was left. Amount is lower if a
	// part was refunded at Stripe meanwhile.
	Asked         int64
	Reason, Actor string
	// ByHand: the money was paid at the desk, so staff pay it back and record that with
	// [Payments.MarkRefundPaid]; Stripe is never called. Also of a refund that
	// [Payments.RecordRefund] recorded. Reference and SettledBy are the [PaidRefund]'s.
	ByHand               bool
	Reference, SettledBy string
	// Tries counts calls to Stripe, LastError is the last failure's code, NextTry the
	// next call. LastError of a pending refund is "requires_action" while Stripe waits
	// for the customer's bank account.
	Tries                int
	LastError            string
	NextTry              time.Time
	CreatedAt, UpdatedAt time.Time
}

const refundColumns = `r.id::text, r.payment_id::text, r.cause, r.amount_minor, r.currency, r.status,
	coalesce(r.stripe_refund_id, ''), r.failure, r.reason, r.actor, r.tries, r.last_error, r.next_try_at,
	r.created_at, r.updated_at, r.origin, r.asked_minor, r.by_hand, r.reference, r.settled_by`

func scanRefund(row interface{ Scan(...any) error }) (Refund, error) {
	var r Refund
	err := row.Scan(&r.ID, &r.PaymentID, &r.Cause, &r.Amount.Minor, &r.Amount.Currency, &r.Status, &r.StripeID,
		&r.Failure, &r.Reason, &r.Actor, &r.Tries, &r.LastError, &r.NextTry, &r.CreatedAt, &r.UpdatedAt, &r.Origin,
		&r.Asked, &r.ByHand, &r.Reference, &r.SettledBy)
	r.NextTry, r.CreatedAt, r.UpdatedAt = r.NextTry.UTC(), r.CreatedAt.UTC(), r.UpdatedAt.UTC()
	return r, err
}

const refundsOfSQL = `SELECT ` + refundColumns +
	` FROM booking_platform.refunds r WHERE r.payment_id = $1::uuid ORDER BY r.id`

// Refunds returns the refunds of a payment, oldest first. One round trip.
func (p *Payments) Refunds(ctx context.Context, paymentID string) ([]Refund, error) {
	if !isID(paymentID) {
		return nil, nil
	}
	return p.refunds(ctx, "list refunds", refundsOfSQL, paymentID)
}

const refundsNeedingAttentionSQL = `SELECT ` + refundColumns + ` FROM booking_platform.refunds r
WHERE r.id = ANY (ARRAY(
	SELECT f.id FROM (` + waitsRefusedSQL + `) f
	UNION ALL SELECT r.id FROM booking_platform.refunds r
		WHERE r.status = 'due' AND r.tries >= 3 AND ` + undisputedSQL + `
	UNION ALL SELECT h.id FROM booking_platform.refunds h WHERE h.status = 'due' AND h.by_hand
	UNION ALL SELECT s.id FROM booking_platform.refunds s
		WHERE s.status = 'pending' AND (s.last_error <> ''
			OR s.created_at < statement_timestamp() - interval '14 days')))
AND EXISTS (SELECT FROM booking_platform.payments p WHERE p.id = r.payment_id AND p.account IN ('', $2::text))
ORDER BY r.id DESC LIMIT $1::int`

// RefundsNeedingAttention returns up to 500 refunds for an operator, newest first: failed
// or canceled ones that [Backlog] counts, due ones after three tries or to be paid by
// hand, and pending ones that wait for the customer or are older than 14 days. One round
// trip.
func (p *Payments) RefundsNeedingAttention(ctx context.Context) ([]Refund, error) {
	return p.refunds(ctx, "list refunds needing attention", refundsNeedingAttentionSQL, 500, p.account)
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

func queryRefund(ctx context.Context, q booking.Querier, query string, args ...any) (Refund, bool, error) {
	r, err := scanRefund(q.QueryRowContext(ctx, query, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return Refund{}, false, nil
	}
	return r, err == nil, err
}
