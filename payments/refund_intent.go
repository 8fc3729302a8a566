package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/valid"
)

// RefundRequest is the input of [Payments.Refund].
type RefundRequest struct {
	PaymentID string
	// Amount is in minor units of the currency that was paid; 0 means all that is left.
	// Stripe refunds no fractions of isk and ugx, and no thousandths in currencies with
	// three places.
	Amount int64
	// Cause has 1 to 200 characters, such as "staff" and a case number. A repeat with it
	// returns the first refund, so that a double click refunds once; with another amount
	// it is refused.
	Cause string
	// Reason is free text, at most 500 characters.
	Reason string
	// Actor is the requester, at most 200 characters, such as "user:ada@example.com".
	Actor string
	// paid: returned outside Stripe, which is not called.
	paid bool
}

// Refund commits to refund money, which [Payments.SettleRefunds] does at Stripe. A
// payment's refunds never exceed what was paid, whatever the number of callers and
// replicas. The booking does not change; see [Payments.Cancel].
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

// The payment's row lock guards all decisions about its refunds.
const lockPaymentSQL = `
SELECT p.captured_minor - p.dispute_lost_minor, coalesce(nullif(p.captured_currency, ''), p.currency),
	p.refund_committed, p.disputes_open > 0
FROM booking_platform.payments p WHERE p.id = $1::uuid FOR NO KEY UPDATE`

// A digest replaces the cause of an erased customer.
var refundByCauseSQL = `SELECT ` + refundColumns + ` FROM booking_platform.refunds r
WHERE r.payment_id = $1::uuid AND r.origin = $2::text AND r.cause IN ($3::text, ` +
	fmt.Sprintf(causeDigestSQL, "$1::uuid", "$3::text") + `)`

// The statement that raises the sum checks the limit, whatever was read before.
const intendRefundSQL = `
WITH bounded AS (
	UPDATE booking_platform.payments AS p
	SET refund_committed = p.refund_committed + $3::bigint, updated_at = statement_timestamp()
	WHERE p.id = $2::uuid AND p.disputes_open = 0
		AND p.refund_committed + $3::bigint <= p.captured_minor - p.dispute_lost_minor
	RETURNING p.id, p.kind = 'desk' AS by_hand)
INSERT INTO booking_platform.refunds AS r (id, payment_id, cause, amount_minor, currency, status, reason, actor,
	origin, asked_minor, by_hand, next_try_at)
SELECT $1::uuid, b.id, $4::text, $3::bigint, $5::text, 'due', $6::text, $7::text, $8::text, $9::bigint, b.by_hand,
	CASE WHEN b.by_hand THEN timestamptz '9999-12-31 00:00:00Z' ELSE statement_timestamp() END FROM bounded b
RETURNING ` + refundColumns

// createIntent is for this package's own refunds. A refusal leaves a caller's transaction
// usable.
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
	// After the lock, to see what its previous holder committed.
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
	case !req.paid && amount < left && valid.StepProblem(amount, captured.Currency) != "":
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

const dueSQL = `
SELECT p.unapplied, p.dispute_lost_minor, p.captured_minor - p.dispute_lost_minor - p.refund_committed,
	CASE WHEN b.status = 'cancelled' THEN coalesce(b.refund_minor, 0) ELSE 0 END
FROM booking_platform.payments p JOIN booking_platform.bookings b ON b.id = p.booking_id
WHERE p.id = $1::uuid AND p.captured_minor > 0 AND NOT p.parked AND p.disputes_open = 0`

// commitDueRefund commits to the refund that a payment's state requires, if any: all that
// is left of unapplied money, or what a cancellation gives back less what a lost dispute
// took. During a dispute nothing is committed; the event that closes it calls this again.
// It may be called after any change, since the cause is unique. The booking is locked.
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

// The key stays, so that a call in progress makes no second refund.
const tryNowSQL = `
UPDATE booking_platform.refunds AS r SET next_try_at = statement_timestamp(), updated_at = statement_timestamp()
WHERE r.id = $1::uuid AND r.status = 'due' AND NOT r.by_hand
RETURNING ` + refundColumns

// The last of a refund's chain of retries.
const lastRetrySQL = `
WITH RECURSIVE chain AS (
	SELECT r.id, 0 AS nth FROM booking_platform.refunds r WHERE r.id = $1::uuid
	UNION ALL
	SELECT n.id, c.nth + 1 FROM chain c JOIN booking_platform.refunds n ON n.origin = 'retry'
		AND n.cause = 'retry:' || c.id::text
	WHERE n.payment_id = (SELECT f.payment_id FROM booking_platform.refunds f WHERE f.id = $1::uuid))
SELECT ` + refundColumns +
	` FROM booking_platform.refunds r WHERE r.id = (SELECT c.id FROM chain c ORDER BY c.nth DESC LIMIT 1)`

// RetryRefund retries a refund. A due one is tried at the next run of
// [Payments.SettleRefunds]. For a failed or canceled one another is committed and
// returned, of the same amount or of what is left; its cause is "retry:" with the id of
// the first, so a repeat returns it until it fails too. Any other refund is returned
// unchanged. actor is as in [RefundRequest].
//
// Errors: [ErrNotFound]; [ErrDisputed], with the refund that will be made after the
// dispute; and those of [Payments.Refund]. A transaction of one or two statements; for a
// failed refund another of four.
func (p *Payments) RetryRefund(ctx context.Context, refundID, actor string) (Refund, error) {
	if !isID(refundID) {
		return Refund{}, ErrNotFound
	}
	var r Refund
	err := p.inTxRetry(ctx, "find the refund to retry", func(q *sql.Tx) error {
		found, ok, err := queryRefund(ctx, q, lastRetrySQL, refundID)
		if err == nil && !ok {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		r = found
		if r.Status != RefundDue {
			return nil
		}
		if found, ok, err = queryRefund(ctx, q, tryNowSQL, r.ID); ok {
			r = found
		}
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return Refund{}, ErrNotFound
	}
	if err == nil && r.Status == RefundDue {
		pay, err := p.Get(ctx, r.PaymentID)
		if err == nil && pay.OpenDisputes > 0 {
			err = ErrDisputed
		}
		return r, err
	}
	if err != nil || (r.Status != RefundFailed && r.Status != RefundCanceled) {
		return r, err
	}
	if r.Failure == FailureDisputeLost {
		// The bank has returned the money.
		return r, ErrNothingToRefund
	}
	req := RefundRequest{PaymentID: r.PaymentID, Amount: r.Amount.Minor, Cause: "retry:" + r.ID, Reason: r.Reason,
		Actor: actor}
	err = p.inTx(ctx, "retry a refund", func(tx *sql.Tx) error {
		return p.observePayment(ctx, tx, req.PaymentID, func() (err error) {
			r, err = createIntentOf(ctx, tx, OriginRetry, req)
			return err
		})
	})
	return r, err
}
