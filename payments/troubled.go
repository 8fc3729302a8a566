package payments

import (
	"context"
	"database/sql"
	"errors"

	"github.com/booking-platform/booking-platform/booking"
)

const troubledPaymentsSQL = `SELECT ` + paymentColumns + ` FROM booking_platform.payments p
WHERE ((` + waitsParkedSQL + `) OR (` + waitsDisputedSQL +
	`)) AND p.account IN ('', $2::text) ORDER BY p.id DESC LIMIT $1::int`

// Troubled returns the payments that a person should look at, the newest first, 500 at
// most: those that [Backlog] counts as parked and as disputed. One round trip.
func (p *Payments) Troubled(ctx context.Context) ([]Payment, error) {
	var out []Payment
	err := p.read(ctx, "list troubled payments", func(q booking.Querier) error {
		out = nil
		rows, err := q.QueryContext(ctx, troubledPaymentsSQL, 500, p.account)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			pay, err := scanPayment(rows)
			if err != nil {
				return err
			}
			out = append(out, pay)
		}
		return rows.Err()
	})
	return out, err
}

const byIDSQL = `SELECT ` + paymentColumns + ` FROM booking_platform.payments p WHERE p.id = $1::uuid`

// Get returns the payment with this id, or ErrNotFound. One round trip.
func (p *Payments) Get(ctx context.Context, id string) (Payment, error) {
	if !isID(id) {
		return Payment{}, ErrNotFound
	}
	return p.one(ctx, "by id", byIDSQL, id)
}

// Its key stays, so that a call which is under way all the same makes no second refund.
const tryNowSQL = `
UPDATE booking_platform.refunds AS r SET next_try_at = statement_timestamp(), updated_at = statement_timestamp()
WHERE r.id = $1::uuid AND r.status = 'due'
RETURNING ` + refundColumns

// Of a refund and those that were made in its place, the last.
const lastRetrySQL = `
WITH RECURSIVE chain AS (
	SELECT r.id, 0 AS nth FROM booking_platform.refunds r WHERE r.id = $1::uuid
	UNION ALL
	SELECT n.id, c.nth + 1 FROM chain c JOIN booking_platform.refunds n ON n.origin = 'retry' AND n.cause = 'retry:' || c.id::text
	WHERE n.payment_id = (SELECT f.payment_id FROM booking_platform.refunds f WHERE f.id = $1::uuid))
SELECT ` + refundColumns +
	` FROM booking_platform.refunds r WHERE r.id = (SELECT c.id FROM chain c ORDER BY c.nth DESC LIMIT 1)`

// RetryRefund has a refund tried again. One that is due is tried at once, by the next run
// of [Payments.SettleRefunds], rather than when its pause is over. In the place of one
// that failed or was canceled another is made, which is returned: of its amount, or of
// what is left where that is less. Its cause is "retry:" with the id of the first, so
// that a repeat answers the same until that one has failed too. What is on its way or has
// succeeded is returned as it is. actor is who asks, as in [RefundRequest].
//
// Errors: [ErrNotFound]; [ErrDisputed], with the refund that is due after the dispute;
// and of what failed those of [Payments.Refund]. A transaction of one or two statements,
// and for what failed another of four.
func (p *Payments) RetryRefund(ctx context.Context, refundID, actor string) (Refund, error) {
	if !isID(refundID) {
		return Refund{}, ErrNotFound
	}
	var r Refund
	err := p.alone(ctx, "find a refund to try again", func(q booking.Querier) error {
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
		// The customer has it from the bank.
		return r, ErrNothingToRefund
	}
	req := RefundRequest{PaymentID: r.PaymentID, Amount: r.Amount.Minor, Cause: "retry:" + r.ID, Reason: r.Reason,
		Actor: actor}
	err = p.inTx(ctx, "make a refund in the place of another", func(tx *sql.Tx) error {
		return p.watchPayment(ctx, tx, req.PaymentID, func() (err error) {
			r, err = makeIntentOf(ctx, tx, OriginRetry, req)
			return err
		})
	})
	return r, err
}
