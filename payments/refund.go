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

const refundsNeedingAttentionSQL = `SELECT ` + refundColumns + ` FROM booking_platform.refunds r
WHERE r.id = ANY (ARRAY(
	SELECT f.id FROM (` + waitsRefusedSQL + `) f
	UNION ALL SELECT r.id FROM booking_platform.refunds r WHERE r.status = 'due' AND r.tries >= 3 AND ` + undisputedSQL + `
	UNION ALL SELECT s.id FROM booking_platform.refunds s
	          WHERE s.status = 'pending' AND (s.last_error <> '' OR s.created_at < statement_timestamp() - interval '14 days')))
AND EXISTS (SELECT FROM booking_platform.payments p WHERE p.id = r.payment_id AND p.account IN ('', $2::text))
ORDER BY r.id DESC LIMIT $1::int`

// RefundsNeedingAttention returns the refunds that a person should look at, the newest first, 500
// at most: those that [Backlog] counts as failed, failed or canceled with no other in
// their place; those that Stripe could not be brought to make in three tries; and those
// that are on their way for 14 days, or wait for the customer. One round trip.
func (p *Payments) RefundsNeedingAttention(ctx context.Context) ([]Refund, error) {
	return p.refunds(ctx, "list troubled refunds", refundsNeedingAttentionSQL, 500, p.account)
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

// createIntent makes an intent of this package's own in a transaction, which may be the
// caller's: a refusal leaves that usable.
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

const dueSQL = `
SELECT p.unapplied, p.dispute_lost_minor, p.captured_minor - p.dispute_lost_minor - p.refund_committed,
	CASE WHEN b.status = 'cancelled' THEN coalesce(b.refund_minor, 0) ELSE 0 END
FROM booking_platform.payments p JOIN booking_platform.bookings b ON b.id = p.booking_id
WHERE p.id = $1::uuid AND p.captured_minor > 0 AND NOT p.parked AND p.disputes_open = 0`

// commitDueRefund commits to what must go back of a payment and is not committed to yet: all that
// is left of money that was not applied, and of a cancelled booking what its cancellation
// gives back. What a lost dispute took has reached the customer already and counts
// towards that. While a dispute is open nothing is committed to; the event that closes it
// calls this again.
//
// It may be called after any change, and more than once: the cause makes each refund
// unique. The booking is locked. reason and actor are kept with the refund.
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
