package payments

import (
	"context"
	"errors"

	"github.com/booking-platform/booking-platform/booking"
)

const troubledPaymentsSQL = `SELECT ` + paymentColumns + ` FROM booking_platform.payments p
WHERE (` + waitsParkedSQL + `) OR (` + waitsDisputedSQL + `) ORDER BY p.id DESC LIMIT $1::int`

// Troubled returns the payments that a person should look at, the newest first, 500 at most: those that [Backlog] counts as
// parked and as disputed. One round trip.
func (p *Payments) Troubled(ctx context.Context) ([]Payment, error) {
	var out []Payment
	err := p.read(ctx, "list troubled payments", func(q booking.Querier) error {
		out = nil
		rows, err := q.QueryContext(ctx, troubledPaymentsSQL, 500)
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

const refundByIDSQL = `SELECT ` + refundColumns + ` FROM booking_platform.refunds r WHERE r.id = $1::uuid`

// Its key stays, so that a call which is under way all the same makes no second refund.
const tryNowSQL = `
UPDATE booking_platform.refunds AS r SET next_try_at = statement_timestamp(), updated_at = statement_timestamp()
WHERE r.id = $1::uuid AND r.status = 'due'
RETURNING ` + refundColumns

// RetryRefund has a refund tried again: one that is due at once rather than when its pause is over, by the next run of
// [Payments.SettleRefunds]; one that failed or was canceled by another refund in its place, which is returned and whose cause is "retry:" with the id of
// the first. So a repeat answers the same. What is on its way or has succeeded is returned as it is. actor is who asks, as in [RefundRequest].
//
// Errors: [ErrNotFound]; [ErrDisputed], with the refund that is due after the dispute; and of what failed those of [Payments.Refund]. Two round trips, or a transaction of four statements.
func (p *Payments) RetryRefund(ctx context.Context, refundID, actor string) (Refund, error) {
	if !isID(refundID) {
		return Refund{}, ErrNotFound
	}
	var r Refund
	err := p.alone(ctx, "try a refund again", func(q booking.Querier) error {
		for _, query := range []string{tryNowSQL, refundByIDSQL} {
			found, ok, err := queryRefund(ctx, q, query, refundID)
			if err != nil {
				return err
			}
			if ok {
				r = found
				return nil
			}
		}
		return ErrNotFound
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
	return p.Refund(ctx, RefundRequest{PaymentID: r.PaymentID, Amount: r.Amount.Minor, Cause: "retry:" + r.ID, Reason: r.Reason, Actor: actor})
}
