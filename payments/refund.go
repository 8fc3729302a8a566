package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/valid"
)

// RefundStatus only moves forward.
type RefundStatus string

// The statuses of a refund. All but RefundDue are Stripe's
// (https://docs.stripe.com/api/refunds/object, status).
const (
	// RefundDue: committed here, not made at Stripe yet. See [Payments.SettleRefunds].
	RefundDue RefundStatus = "due"
	// RefundPending: made at Stripe, the money is on its way, or waits for the account's
	// balance or for the customer.
	RefundPending RefundStatus = "pending"
	// RefundSucceeded: the money has reached the customer's bank.
	RefundSucceeded RefundStatus = "succeeded"
	// RefundFailed: refused by Stripe or by the customer's bank, possibly after it had
	// succeeded. The money is back in the account and can be refunded under another
	// cause.
	RefundFailed RefundStatus = "failed"
	// RefundCanceled: canceled at Stripe. The money can be refunded again.
	RefundCanceled RefundStatus = "canceled"
)

// CauseCancelled is the cause of refunds made by [Payments.Cancel]. Other causes of this
// package are [ReasonLate], [ReasonCancelled] and [ReasonPaidTwice], and "stripe:" with
// the refund's id for refunds made at Stripe.
const CauseCancelled = "cancelled"

// RefundOrigin says what made a refund. Causes are unique per origin, so a caller's cause
// "cancelled" is not that of [Payments.Cancel].
type RefundOrigin string

// The origins of refunds.
const (
	// OriginPayments: this package, by a policy or for unapplied money.
	OriginPayments RefundOrigin = "payments"
	// OriginRequest: [Payments.Refund].
	OriginRequest RefundOrigin = "request"
	// OriginRetry: [Payments.RetryRefund].
	OriginRetry RefundOrigin = "retry"
	// OriginStripe: made at Stripe, for example in the dashboard.
	OriginStripe RefundOrigin = "stripe"
)

// ErrNothingToRefund means that nothing was paid, or all of it is refunded or being
// refunded.
var ErrNothingToRefund = errors.New("nothing is left to refund")

// ErrDisputed means that a dispute of the payment is open, during which Stripe refuses
// refunds. Retry after the dispute; what a cancellation gives back is then refunded
// automatically.
var ErrDisputed = errors.New("the payment is disputed: nothing can be refunded until the dispute is over")

// RefundTooLargeError means that less than the requested amount is left. Nothing has
// changed.
type RefundTooLargeError struct {
	// Asked is the requested amount, Left what can still be refunded.
	Asked, Left booking.Money
}

func (e *RefundTooLargeError) Error() string {
	return fmt.Sprintf("refund of %s exceeds the %s that are left", e.Asked, e.Left)
}

// Refund is money that is returned to the customer. Times are in UTC.
type Refund struct {
	// ID is a UUIDv7.
	ID, PaymentID string
	// Origin and Cause are unique together per payment: the same cause never refunds
	// twice.
	Origin RefundOrigin
	Cause  string
	// Amount is in the currency that was paid.
	Amount booking.Money
	Status RefundStatus
	// StripeID is Stripe's id (re_…), or empty while the refund is due.
	StripeID string
	// Failure is Stripe's code if the refund failed, or else empty.
	Failure string
	// Asked is the requested amount in minor units, 0 for all that was left. Amount is
	// lower if a part was refunded at Stripe meanwhile.
	Asked         int64
	Reason, Actor string
	// Tries is the number of calls to Stripe, LastError the error code of the last one
	// and NextTry the time of the next. LastError of a pending refund is
	// "requires_action" while Stripe waits for the customer's bank account.
	Tries                int
	LastError            string
	NextTry              time.Time
	CreatedAt, UpdatedAt time.Time
}

// refundColumns are the columns that scanRefund reads.
const refundColumns = `r.id::text, r.payment_id::text, r.cause, r.amount_minor, r.currency, r.status,
	coalesce(r.stripe_refund_id, ''), r.failure, r.reason, r.actor, r.tries, r.last_error, r.next_try_at,
	r.created_at, r.updated_at, r.origin, r.asked_minor`

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
	UNION ALL SELECT s.id FROM booking_platform.refunds s
		WHERE s.status = 'pending' AND (s.last_error <> ''
			OR s.created_at < statement_timestamp() - interval '14 days')))
AND EXISTS (SELECT FROM booking_platform.payments p WHERE p.id = r.payment_id AND p.account IN ('', $2::text))
ORDER BY r.id DESC LIMIT $1::int`

// RefundsNeedingAttention returns up to 500 refunds that an operator should look at,
// newest first: failed or canceled ones that [Backlog] counts, due ones after three
// tries, and pending ones that wait for the customer or are older than 14 days. One round
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

// queryRefund runs a statement that returns at most one refund.
func queryRefund(ctx context.Context, q booking.Querier, query string, args ...any) (Refund, bool, error) {
	r, err := scanRefund(q.QueryRowContext(ctx, query, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return Refund{}, false, nil
	}
	return r, err == nil, err
}

// RefundRequest is the input of [Payments.Refund].
type RefundRequest struct {
	PaymentID string
	// Amount is in minor units of the currency that was paid; 0 means all that is left. A
	// part must be an amount that Stripe can refund: no fractions of isk and ugx, and no
	// thousandths in currencies with three decimal places.
	Amount int64
	// Cause has 1 to 200 characters, for example "staff" and a case number. A repeat with
	// the same cause returns the first refund, so that a double click refunds once; with
	// another amount it is refused. Causes of this package do not collide with it.
	Cause string
	// Reason is free text, at most 500 characters.
	Reason string
	// Actor names the requester, at most 200 characters, such as "user:ada@example.com".
	Actor string
}

// Refund commits to refund money; [Payments.SettleRefunds] then makes the refund at
// Stripe. The refunds of a payment never exceed what was paid, whatever the number of
// callers and replicas. The booking does not change; to cancel it too, use
// [Payments.Cancel].
//
// Errors: [ErrNotFound]; [ErrNothingToRefund]; [ErrDisputed]; a [*RefundTooLargeError]; a
// [*booking.ValidationError] that names amount, cause, reason or actor. A transaction of
// four statements.
func (p *Payments) Refund(ctx context.Context, req RefundRequest) (Refund, error) {
	var r Refund
	err := p.inTx(ctx, "refund", func(tx *sql.Tx) (err error) {
		return p.observePayment(ctx, tx, req.PaymentID, func() (err error) {
			r, err = createIntentOf(ctx, tx, OriginRequest, req)
			return err
		})
	})
	return r, err
}

func (req RefundRequest) check() error {
	fields := map[string]string{}
	if req.Amount < 0 {
		fields["amount"] = "must not be negative"
	}
	if req.Cause == "" {
		fields["cause"] = "is required"
	}
	for _, text := range []struct {
		field, value string
		limit        int
	}{{"cause", req.Cause, 200}, {"reason", req.Reason, 500}, {"actor", req.Actor, 200}} {
		if problem := valid.Text(text.value, text.limit, "\n"); problem != "" {
			fields[text.field] = problem
		}
	}
	if len(fields) > 0 {
		return &booking.ValidationError{Fields: fields}
	}
	return nil
}

// The row lock of the payment guards all decisions about its refunds.
const lockPaymentSQL = `
SELECT p.captured_minor - p.dispute_lost_minor, coalesce(nullif(p.captured_currency, ''), p.currency),
	p.refund_committed, p.disputes_open > 0
FROM booking_platform.payments p WHERE p.id = $1::uuid FOR NO KEY UPDATE`

const refundByCauseSQL = `SELECT ` + refundColumns + ` FROM booking_platform.refunds r 
WHERE r.payment_id = $1::uuid AND r.origin = $2::text AND r.cause = $3::text`

// The limit is checked by the statement that raises the sum, whatever was read before.
const intendRefundSQL = `
WITH bounded AS (
	UPDATE booking_platform.payments AS p
	SET refund_committed = p.refund_committed + $3::bigint, updated_at = statement_timestamp()
	WHERE p.id = $2::uuid AND p.disputes_open = 0
		AND p.refund_committed + $3::bigint <= p.captured_minor - p.dispute_lost_minor
	RETURNING p.id)
INSERT INTO booking_platform.refunds AS r (id, payment_id, cause, amount_minor, currency, status, reason, actor,
	origin, asked_minor)
SELECT $1::uuid, b.id, $4::text, $3::bigint, $5::text, 'due', $6::text, $7::text, $8::text, $9::bigint FROM bounded b
RETURNING ` + refundColumns

// createIntent commits to a refund of this package's own. It may run in a caller's
// transaction, which stays usable after a refusal.
func createIntent(ctx context.Context, q booking.Querier, req RefundRequest) (Refund, error) {
	return createIntentOf(ctx, q, OriginPayments, req)
}

func createIntentOf(ctx context.Context, q booking.Querier, origin RefundOrigin, req RefundRequest) (Refund, error) {
	if err := req.check(); err != nil {
		return Refund{}, err
	}
	if !isID(req.PaymentID) {
		return Refund{}, ErrNotFound
	}
	var captured booking.Money
	var committed int64
	var disputed bool
	err := q.QueryRowContext(ctx, lockPaymentSQL, req.PaymentID).Scan(&captured.Minor, &captured.Currency, &committed,
		&disputed)
	if errors.Is(err, sql.ErrNoRows) {
		return Refund{}, ErrNotFound
	}
	if err != nil {
		return Refund{}, err
	}
	// A statement after the lock, so that it sees what the previous holder committed.
	if made, found, err := queryRefund(ctx, q, refundByCauseSQL, req.PaymentID, origin, req.Cause); found ||
		err != nil {
		if err == nil && origin == OriginRequest && req.Amount != made.Asked {
			return Refund{},
				&booking.ValidationError{Fields: map[string]string{"cause": "was used before, for " + made.asked()}}
		}
		return made, err
	}
	left := max(0, captured.Minor-committed)
	amount := req.Amount
	switch {
	case amount == 0:
		amount = left
	case origin == OriginRetry:
		amount = min(amount, left)
	}
	switch {
	case disputed:
		return Refund{}, ErrDisputed
	case left == 0:
		return Refund{}, ErrNothingToRefund
	case amount > left:
		return Refund{}, &RefundTooLargeError{
			Asked: booking.Money{Minor: amount, Currency: captured.Currency},
			Left:  booking.Money{Minor: left, Currency: captured.Currency},
		}
	case amount < left && valid.StepProblem(amount, captured.Currency) != "":
		problem := valid.StepProblem(amount, captured.Currency)
		return Refund{}, &booking.ValidationError{Fields: map[string]string{"amount": problem}}
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Refund{}, fmt.Errorf("make an id: %w", err)
	}
	made, found, err := queryRefund(ctx, q, intendRefundSQL, id.String(), req.PaymentID, amount, req.Cause,
		captured.Currency, req.Reason, req.Actor,
		origin, req.Amount)
	if err == nil && !found {
		err = errors.New("the sum of the refunds has changed under the payment's lock")
	}
	return made, err
}

// asked describes the requested amount.
func (r Refund) asked() string {
	if r.Asked == 0 {
		return "all that was left"
	}
	return booking.Money{Minor: r.Asked, Currency: r.Amount.Currency}.String()
}

// isID reports whether Postgres accepts id as a UUID; uuid.Validate also accepts longer
// forms.
func isID(id string) bool { return len(id) == 36 && uuid.Validate(id) == nil }

const dueSQL = `
SELECT p.unapplied, p.dispute_lost_minor, p.captured_minor - p.dispute_lost_minor - p.refund_committed,
	CASE WHEN b.status = 'cancelled' THEN coalesce(b.refund_minor, 0) ELSE 0 END
FROM booking_platform.payments p JOIN booking_platform.bookings b ON b.id = p.booking_id
WHERE p.id = $1::uuid AND p.captured_minor > 0 AND NOT p.parked AND p.disputes_open = 0`

// commitDueRefund commits to the refund that a payment's state requires, if any: all that
// is left of unapplied money, or what the cancellation of its booking gives back. What a
// lost dispute took counts towards it. While a dispute is open nothing is committed; the
// event that closes it calls this again.
//
// It is idempotent, because the refund's cause is unique, and may be called after any
// change. The booking is locked.
func commitDueRefund(ctx context.Context, q booking.Querier, paymentID, reason, actor string) error {
	var cause string
	var lost, left, promised int64
	err := q.QueryRowContext(ctx, dueSQL, paymentID).Scan(&cause, &lost, &left, &promised)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	amount := left
	if cause == "" {
		cause, amount = CauseCancelled, min(left, promised-lost)
	}
	if amount <= 0 {
		return nil
	}
	_, err = createIntent(ctx, q, RefundRequest{PaymentID: paymentID, Amount: amount, Cause: cause, Reason: reason,
		Actor: actor})
	if errors.Is(err, ErrNothingToRefund) || errors.Is(err, ErrDisputed) {
		err = nil
	}
	return err
}
