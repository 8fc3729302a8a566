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

// RefundRequest asks for money to go back.
type RefundRequest struct {
	// PaymentID is the payment's.
	PaymentID string
	// Amount is how much, in minor units of the currency that was paid; 0 is all that is
	// left. A part must be one that Stripe refunds: no fractions of isk and ugx, and no
	// thousandths where a currency has three decimal places.
	Amount int64
	// Cause is why, 1 to 200 characters: a repeat under the same cause answers the refund
	// that the first one made, so that a click that comes twice gives money back once.
	// "staff" with the number of the case, say. The causes of callers are apart from this
	// package's own. The same cause with another amount is refused.
	Cause string
	// Reason is for people, at most 500 characters.
	Reason string
	// Actor is who asks, at most 200 characters: "user:ada@example.com".
	Actor string
}

// Refund commits the intent to give money back; [Payments.SettleRefunds] then has Stripe
// do it. The sum of all refunds of a payment never exceeds what was paid, however many
// ask at once on however many replicas. A refund does not change the booking;
// [Payments.Cancel] does both.
//
// Errors: [ErrNotFound]; [ErrNothingToRefund]; [ErrDisputed]; a [*RefundTooLargeError]; a
// [*booking.ValidationError] that names amount, cause, reason or actor. A transaction of
// four statements.
func (p *Payments) Refund(ctx context.Context, req RefundRequest) (Refund, error) {
	var r Refund
	err := p.inTx(ctx, "refund", func(tx *sql.Tx) (err error) {
		return p.watchPayment(ctx, tx, req.PaymentID, func() (err error) {
			r, err = makeIntentOf(ctx, tx, OriginRequest, req)
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

// The payment's row is the lock under which everything about its refunds is decided.
const lockPaymentSQL = `
SELECT p.captured_minor - p.dispute_lost_minor, coalesce(nullif(p.captured_currency, ''), p.currency), p.refund_committed, p.disputes_open > 0
FROM booking_platform.payments p WHERE p.id = $1::uuid FOR NO KEY UPDATE`

const refundByCauseSQL = `SELECT ` + refundColumns + ` FROM booking_platform.refunds r 
WHERE r.payment_id = $1::uuid AND r.origin = $2::text AND r.cause = $3::text`

// The bound is in the statement that raises the sum: whatever was read before it, more
// than was paid is never committed to.
const intendRefundSQL = `
WITH bounded AS (
	UPDATE booking_platform.payments AS p
	SET refund_committed = p.refund_committed + $3::bigint, updated_at = statement_timestamp()
	WHERE p.id = $2::uuid AND p.disputes_open = 0
		AND p.refund_committed + $3::bigint <= p.captured_minor - p.dispute_lost_minor
	RETURNING p.id)
INSERT INTO booking_platform.refunds AS r (id, payment_id, cause, amount_minor, currency, status, reason, actor, origin, asked_minor)
SELECT $1::uuid, b.id, $4::text, $3::bigint, $5::text, 'due', $6::text, $7::text, $8::text, $9::bigint FROM bounded b
RETURNING ` + refundColumns

// makeIntent makes an intent of this package's own in a transaction, which may be the
// caller's: a refusal leaves that usable.
func makeIntent(ctx context.Context, q booking.Querier, req RefundRequest) (Refund, error) {
	return makeIntentOf(ctx, q, OriginPayments, req)
}

func makeIntentOf(ctx context.Context, q booking.Querier, origin RefundOrigin, req RefundRequest) (Refund, error) {
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
	// After the lock, and in a statement of its own, which so sees what whoever had it
	// before has done.
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

// asked is what a refund was asked for, in words.
func (r Refund) asked() string {
	if r.Asked == 0 {
		return "all that was left"
	}
	return booking.Money{Minor: r.Asked, Currency: r.Amount.Currency}.String()
}

// isID tells whether Postgres would take it for a UUID: uuid.Validate knows longer forms,
// which Postgres does not.
func isID(id string) bool { return len(id) == 36 && uuid.Validate(id) == nil }
