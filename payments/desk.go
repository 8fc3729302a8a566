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

// DeskPayment is money that did not pass through Stripe, such as cash or a card terminal.
type DeskPayment struct {
	BookingID string
	// Amount must be the booking's price.
	Amount booking.Money
	// Method is how it was paid, such as "cash" or "terminal"; 1 to 100 characters.
	Method string
	// Reference is in the caller's books, such as a receipt's number; at most 200
	// characters.
	Reference string
	// Actor received it, at most 200 characters, such as "user:ada@example.com". The
	// booking's history has it, too.
	Actor string
}

// RecordDesk records that a booking was paid at the desk, and confirms it. An expired
// hold takes its slot again if it is free. [Payments.ExpireSessions] ends an open
// Checkout Session or PaymentIntent of the booking; if its customer pays all the same,
// that money is refunded in full.
//
// Stripe is never called for this money. A refund of it, by [Payments.Cancel] or
// [Payments.Refund], is due until staff have paid it and call [Payments.MarkRefundPaid];
// see Backlog.RefundsByHand. It belongs to no Stripe account: every process of the
// database lists it.
//
// A booking has one payment at the desk. A repeat with the same method, reference and
// amount returns it. Nothing is recorded on an error: a [*booking.ValidationError] that
// names amount, method, reference or actor; [ErrNotPayable] if the booking is free,
// cancelled, or paid already, or a delayed payment is pending; booking.ErrSlotTaken if
// the slot of an expired hold was sold, booking.ErrSlotGone once it has begun;
// booking.ErrNotFound. Safe on several replicas at once and beside events. A transaction
// of about six statements.
func (p *Payments) RecordDesk(ctx context.Context, d DeskPayment) (Payment, error) {
	if err := d.check(); err != nil {
		return Payment{}, err
	}
	var pay Payment
	ctx = d.acting(ctx)
	err := p.inTxRetry(ctx, "record a payment at the desk", func(tx *sql.Tx) error {
		bookings := p.bookings.Tx(tx)
		b, err := bookings.LockWithResource(ctx, d.BookingID)
		if err != nil {
			return err
		}
		return p.observe(ctx, tx, b.ID, func() error {
			pay, err = recordDesk(ctx, tx, bookings, b, d)
			return err
		})
	})
	return pay, err
}

func (d DeskPayment) check() error {
	fields := map[string]string{}
	for _, text := range []struct {
		field, problem string
	}{
		{"method", valid.Required(d.Method, 100)}, {"reference", valid.Text(d.Reference, 200, "")},
		{"actor", valid.Text(d.Actor, 200, "")},
	} {
		if text.problem != "" {
			fields[text.field] = text.problem
		}
	}
	if d.Amount.Minor <= 0 {
		fields["amount"] = "must be positive"
	}
	if len(fields) > 0 {
		return &booking.ValidationError{Fields: fields}
	}
	return nil
}

func (d DeskPayment) acting(ctx context.Context) context.Context {
	if d.Actor == "" {
		return actingAs(ctx, "payments")
	}
	return booking.WithActor(ctx, d.Actor)
}

const deskSQL = `SELECT ` + paymentColumns + ` FROM booking_platform.payments p
WHERE p.booking_id = $1::uuid AND p.kind = 'desk'`

// Money that came or is on its way.
const paidOtherwiseSQL = `
SELECT EXISTS (SELECT FROM booking_platform.payments p WHERE p.booking_id = $1::uuid
	AND (p.captured_minor > 0 AND p.unapplied = '' OR p.completed AND p.captured_minor = 0 AND NOT p.failed
		AND NOT p.expired))`

// Every account lists it: it has none.
const recordDeskSQL = `
INSERT INTO booking_platform.payments AS p (id, booking_id, kind, amount_minor, currency, captured_minor,
	captured_currency, completed, parameters, session_expires_at, method, reference, actor)
VALUES ($1::uuid, $2::uuid, 'desk', $3::bigint, $4::text, $3::bigint, $4::text, true, '{}', statement_timestamp(),
	$5::text, $6::text, $7::text)
RETURNING ` + paymentColumns

// The booking is locked.
func recordDesk(ctx context.Context, q booking.Querier, bookings *booking.Tx, b booking.Booking,
	d DeskPayment) (Payment, error) {
	made, err := scanPayment(q.QueryRowContext(ctx, deskSQL, b.ID))
	if err == nil {
		if made.Method != d.Method || made.Reference != d.Reference || !made.Captured.Equal(d.Amount) {
			return Payment{}, fmt.Errorf("it was paid at the desk by %q, %q: %w", made.Method, made.Reference,
				ErrNotPayable)
		}
		return made, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return Payment{}, err
	}
	switch {
	case b.Amount.Minor == 0:
		return Payment{}, fmt.Errorf("the booking costs nothing: %w", ErrNotPayable)
	case !b.Amount.Equal(d.Amount):
		return Payment{}, &booking.ValidationError{Fields: map[string]string{
			"amount": "must be the booking's price, " + b.Amount.String()}}
	}
	var paid bool
	if err := q.QueryRowContext(ctx, paidOtherwiseSQL, b.ID).Scan(&paid); err != nil {
		return Payment{}, err
	}
	if paid {
		return Payment{}, fmt.Errorf("it is paid, or being paid: %w", ErrNotPayable)
	}
	switch b.Status {
	case booking.StatusPending:
		_, err = bookings.ConfirmLate(ctx, b.ID)
	case booking.StatusExpired:
		_, err = bookings.Retake(ctx, b.ID)
	case booking.StatusConfirmed, booking.StatusCompleted:
		// Confirmed before it was paid, by booking.Store.Confirm.
		err = nil
	default:
		err = fmt.Errorf("it is %s: %w", b.Status, ErrNotPayable)
	}
	if err != nil {
		return Payment{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Payment{}, fmt.Errorf("make an id: %w", err)
	}
	return scanPayment(q.QueryRowContext(ctx, recordDeskSQL, id.String(), b.ID, b.Amount.Minor, b.Amount.Currency,
		d.Method, d.Reference, booking.Actor(ctx)))
}

// ErrNotByHand means that a refund is made at Stripe, not by hand.
var ErrNotByHand = errors.New("the refund is made at Stripe, not by hand")

// PaidRefund is the input of [Payments.MarkRefundPaid].
type PaidRefund struct {
	RefundID string
	// Reference is in the caller's books, at most 200 characters.
	Reference string
	// Actor paid it, at most 200 characters.
	Actor string
}

const markRefundPaidSQL = `
UPDATE booking_platform.refunds AS r SET status = 'succeeded', reference = $2::text, settled_by = $3::text,
	updated_at = statement_timestamp()
WHERE r.id = $1::uuid AND r.by_hand AND r.status = 'due'
RETURNING ` + refundColumns

const refundByIDSQL = `SELECT ` + refundColumns + ` FROM booking_platform.refunds r WHERE r.id = $1::uuid`

// MarkRefundPaid records that staff have paid a due refund of money at the desk, see
// Refund.ByHand. A repeat returns it as it is. The errors are [ErrNotFound],
// [ErrNotByHand], and a [*booking.ValidationError] that names reference or actor. Safe on
// several replicas at once. A transaction of about five statements.
func (p *Payments) MarkRefundPaid(ctx context.Context, paid PaidRefund) (Refund, error) {
	fields := map[string]string{}
	if problem := valid.Text(paid.Reference, 200, ""); problem != "" {
		fields["reference"] = problem
	}
	if problem := valid.Text(paid.Actor, 200, ""); problem != "" {
		fields["actor"] = problem
	}
	if len(fields) > 0 {
		return Refund{}, &booking.ValidationError{Fields: fields}
	}
	if !isID(paid.RefundID) {
		return Refund{}, ErrNotFound
	}
	var r Refund
	err := p.inTxRetry(ctx, "mark a refund as paid", func(tx *sql.Tx) error {
		found, ok, err := queryRefund(ctx, tx, refundByIDSQL, paid.RefundID)
		switch {
		case err != nil:
			return err
		case !ok:
			return ErrNotFound
		case !found.ByHand:
			return ErrNotByHand
		}
		return p.observePayment(ctx, tx, found.PaymentID, func() error {
			if err := lockPayment(ctx, tx, found.PaymentID); err != nil {
				return err
			}
			r, ok, err = queryRefund(ctx, tx, markRefundPaidSQL, paid.RefundID, paid.Reference, paid.Actor)
			if err != nil {
				return err
			}
			if !ok {
				r, _, err = queryRefund(ctx, tx, refundByIDSQL, paid.RefundID)
				return err
			}
			_, err = tx.ExecContext(ctx, sumRefundsSQL, found.PaymentID)
			return err
		})
	})
	return r, err
}
