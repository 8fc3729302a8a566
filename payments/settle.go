package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"

	"github.com/booking-platform/booking-platform/booking"
)

// Errors of an operator's settlements, for errors.Is.
var (
	// ErrNotFailed means that a refund was made, or may still be made at Stripe.
	ErrNotFailed = errors.New("the refund has not failed, it was made or may still be made at Stripe")
	// ErrSessionOpen means that Stripe still has a payment's Checkout Session, which
	// waits there for the customer or a bank, or that there is none yet.
	ErrSessionOpen = errors.New("the Checkout Session is not gone")
)

// Settlement is an operator's statement about what Stripe does not know.
type Settlement struct {
	// Cause is why, such as "bank transfer 42"; 1 to 400 characters.
	Cause string
	// Actor is the operator, at most 200 characters, such as "user:ada@example.com".
	Actor string
}

func (s Settlement) check() error {
	err := RefundRequest{Cause: s.Cause, Reason: s.Cause, Actor: s.Actor}.check()
	if err == nil && len([]rune(s.Cause)) > 400 {
		err = &booking.ValidationError{Fields: map[string]string{"cause": "is longer than 400 characters"}}
	}
	return err
}

// RecordRefund's refund has reached the customer, without Stripe.
const markPaidSQL = `
UPDATE booking_platform.refunds AS r SET status = 'succeeded', by_hand = true, settled_by = $2::text,
	updated_at = statement_timestamp()
WHERE r.id = $1::uuid AND r.status = 'due' AND r.tries = 0`

const refundBookingSQL = `
SELECT p.id::text, p.booking_id::text FROM booking_platform.refunds r
JOIN booking_platform.payments p ON p.id = r.payment_id WHERE r.id = $1::uuid`

// RecordRefund records that a failed or canceled refund was paid in another way, such as
// by bank transfer. A refund of the same amount, or of what is left, is added to the
// failed one as a retry is ([Payments.RetryRefund]), but as succeeded and without a
// StripeID; its Reason is the cause. It counts as refunded, and as [TransitionRefunded].
// The booking's history names it. A repeat returns it.
//
// Errors: [ErrNotFound]; [ErrNotFailed]; [ErrDisputed], since the bank may return the
// money too; [ErrNothingToRefund]; a [*booking.ValidationError]. Safe on several replicas
// at once, and beside a retry: one of both is made. A transaction of eight statements.
func (p *Payments) RecordRefund(ctx context.Context, refundID string, s Settlement) (Refund, error) {
	if err := s.check(); err != nil {
		return Refund{}, err
	}
	if !isID(refundID) {
		return Refund{}, ErrNotFound
	}
	ctx = booking.WithActor(ctx, s.Actor)
	var r Refund
	err := p.inTxRetry(ctx, "record a refund paid in another way", func(tx *sql.Tx) error {
		var paymentID, bookingID string
		err := tx.QueryRowContext(ctx, refundBookingSQL, refundID).Scan(&paymentID, &bookingID)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		bookings := p.bookings.Tx(tx)
		if _, err := bookings.Lock(ctx, bookingID); err != nil {
			return err
		}
		return p.observe(ctx, tx, bookingID, func() error {
			if err := lockPayment(ctx, tx, paymentID); err != nil {
				return err
			}
			r, err = recordRefund(ctx, tx, paymentID, refundID, s)
			if errors.Is(err, errRecordedBefore) {
				return nil
			}
			if err != nil {
				return err
			}
			return bookings.Note(ctx, bookingID, fmt.Sprintf("refund of %s paid in another way: %s", r.Amount, s.Cause))
		})
	})
	return r, err
}

var errRecordedBefore = errors.New("recorded before")

// The payment is locked.
func recordRefund(ctx context.Context, tx *sql.Tx, paymentID, refundID string, s Settlement) (Refund, error) {
	last, _, err := queryRefund(ctx, tx, lastRetrySQL, refundID)
	switch {
	case err != nil:
		return Refund{}, err
	case last.Status == RefundSucceeded && last.StripeID == "":
		return last, errRecordedBefore
	case last.Failure == FailureDisputeLost:
		return last, ErrNothingToRefund
	case last.Status != RefundFailed && last.Status != RefundCanceled:
		return last, ErrNotFailed
	}
	made, err := createIntentOf(ctx, tx, OriginRetry, RefundRequest{PaymentID: paymentID, Amount: last.Amount.Minor,
		Cause: "retry:" + last.ID, Reason: s.Cause, Actor: s.Actor, paid: true})
	if err != nil {
		return made, err
	}
	if _, err := tx.ExecContext(ctx, markPaidSQL, made.ID, s.Actor); err != nil {
		return made, err
	}
	if _, err := tx.ExecContext(ctx, sumRefundsSQL, paymentID); err != nil {
		return made, err
	}
	made, _, err = queryRefund(ctx, tx, lastRetrySQL, made.ID)
	return made, err
}

// A pending delayed payment method has failed; an open session has expired.
const sessionGoneSQL = `
UPDATE booking_platform.payments AS p SET expired = p.expired OR NOT p.completed, failed = p.failed OR p.completed,
	updated_at = statement_timestamp()
WHERE p.id = $1::uuid AND p.captured_minor = 0 AND NOT p.expired AND NOT p.failed AND NOT p.parked`

// EndMissingSession ends an open or processing payment whose Checkout Session Stripe does
// not know any more, such as one deleted with the test data: it is expired, or failed,
// and its hold released. Only an operator can say so, because a key of another account or
// mode gets the same answer. The booking's history names the cause. If Stripe knows the
// session and it is over, Stripe's answer is applied instead. A payment that has ended is
// returned unchanged.
//
// Errors: [ErrNotFound]; [ErrSessionOpen]; [ErrUnavailable], also for a payment of
// another account; a [*booking.ValidationError]. Safe on several replicas at once and
// beside events: money that comes all the same is handled as late. A call to Stripe, and
// a transaction of up to nine statements.
func (p *Payments) EndMissingSession(ctx context.Context, paymentID string, s Settlement) (Payment, error) {
	if err := s.check(); err != nil {
		return Payment{}, err
	}
	pay, err := p.Get(ctx, paymentID)
	if err != nil {
		return pay, err
	}
	switch status := pay.Status(); {
	case status != StatusOpen && status != StatusProcessing:
		return pay, nil
	case !p.owns(pay):
		return pay, fmt.Errorf("payments: the payment belongs to another Stripe account: %w", ErrUnavailable)
	case pay.SessionID == "":
		return pay, ErrSessionOpen
	}
	callCtx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	found, err := p.readSession(callCtx, pay.SessionID)
	switch {
	case err != nil && !notFound(err):
		return pay, p.unavailable(ctx, "read the Checkout Session", pay.ID, err)
	case err == nil && found.step == nil:
		return pay, ErrSessionOpen
	case err == nil:
		if _, err := p.reconcile(ctx, pay); err != nil {
			return pay, err
		}
		return p.Get(ctx, paymentID)
	}
	ctx = booking.WithActor(ctx, s.Actor)
	err = p.inTxRetry(ctx, "end a payment whose session is gone", func(tx *sql.Tx) error {
		bookings := p.bookings.Tx(tx)
		b, err := bookings.Lock(ctx, pay.BookingID)
		if err != nil {
			return err
		}
		return p.observe(ctx, tx, b.ID, func() error {
			result, err := tx.ExecContext(ctx, sessionGoneSQL, pay.ID)
			if err != nil {
				return err
			}
			if n, err := result.RowsAffected(); err != nil || n == 0 {
				return err
			}
			e := lockedEvent{tx: tx, bookings: bookings, payment: pay, booking: b}
			if err := e.releaseHold(ctx); err != nil {
				return err
			}
			return bookings.Note(ctx, b.ID, "Checkout Session is gone: "+s.Cause)
		})
	})
	if err != nil {
		return pay, err
	}
	p.log.LogAttrs(ctx, slog.LevelWarn, "payment ended without its session", slog.String("payment_id", pay.ID),
		slog.String("booking_id", pay.BookingID))
	return p.Get(ctx, paymentID)
}
