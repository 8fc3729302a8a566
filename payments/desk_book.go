package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/booking-platform/booking-platform/booking"
)

// PaidBy is how a booking of [Payments.BookPaid] was paid; zero for one that costs
// nothing.
type PaidBy struct {
	// StripeID is a paid PaymentIntent (pi_…) or Checkout Session (cs_…) at Stripe.
	StripeID string
	// Desk is money at the desk. BookPaid sets its BookingID and Amount.
	Desk *DeskPayment
}

// BookPaid holds a slot and confirms it in one transaction, for a customer whose money
// came another way: at the desk, or with a payment at Stripe whose booking was lost with
// a database and is entered again after a restore. Nothing is charged, and nothing
// refunded: if the slot is taken or the price is not what was paid, nothing changes.
//
// With a payment at Stripe the booking is bound to it: a lost Checkout Session gets its
// payment's former id, so that its events, past and to come, find the payment settled.
// [Payments.RefreshRefunds] reads refunds made at Stripe meanwhile. A repeat with the
// same StripeID, or with the same idempotency key and payment, returns the first booking
// with its present status.
//
// Errors: those of booking.Store.Hold, limits included; [ErrAdopted] if the payment
// belongs to a booking of another customer, resource or time; an [*AmountError];
// [ErrNotPayable] if the payment at Stripe is not paid, the booking's price does not fit
// by, or the booking of the idempotency key was not paid by this payment; [ErrNotFound]
// if Stripe does not know the payment; [ErrUnavailable]; those of [Payments.RecordDesk].
// Safe on several replicas at once. URL of the result is [Payments.BookingURL].
func (p *Payments) BookPaid(ctx context.Context, req booking.HoldRequest, by PaidBy) (Booked, error) {
	var found stripeState
	switch {
	case by.StripeID != "":
		var err error
		if found, err = p.readAdoptable(ctx, by.StripeID); err != nil {
			return Booked{}, err
		}
	case by.Desk != nil:
		ctx = by.Desk.acting(ctx)
	}
	ctx = actingAs(ctx, "payments")
	booked, err := p.bookPaidOnce(ctx, req, by, found)
	if err != nil && by.StripeID != "" {
		// Another caller may have entered it meanwhile, and so taken its slot.
		booked, err = p.bookPaidOnce(ctx, req, by, found)
	}
	if err != nil {
		return Booked{}, err
	}
	withToken, err := p.bookings.WithOwnerToken(ctx, booked.Booking.ID)
	if err != nil {
		return Booked{}, err
	}
	booked.Booking = withToken
	booked.URL = p.BookingURL(withToken.ID, withToken.OwnerToken)
	return booked, nil
}

func (p *Payments) bookPaidOnce(ctx context.Context, req booking.HoldRequest, by PaidBy,
	found stripeState) (booked Booked, err error) {
	err = p.inTxRetry(ctx, "book what was paid", func(tx *sql.Tx) error {
		booked, err = p.bookPaid(ctx, tx, req, by, found)
		return err
	})
	return booked, err
}

func (p *Payments) bookPaid(ctx context.Context, tx *sql.Tx, req booking.HoldRequest, by PaidBy,
	found stripeState) (Booked, error) {
	bookings := p.bookings.Tx(tx)
	if by.StripeID != "" {
		pay, err := scanPayment(tx.QueryRowContext(ctx, adoptedSQL, found.intent, found.session.ID))
		if err == nil {
			return boundTo(ctx, tx, bookings, req, pay)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return Booked{}, err
		}
		if !found.paid {
			return Booked{}, fmt.Errorf("%s is not paid: %w", by.StripeID, ErrNotPayable)
		}
	}
	held, err := bookings.Hold(ctx, req)
	if err != nil {
		return Booked{}, err
	}
	if held.Status != booking.StatusPending {
		return bookedBefore(ctx, tx, held, by, found)
	}
	var pay Payment
	err = p.observe(ctx, tx, held.ID, func() error {
		switch {
		case by.StripeID != "":
			if total, known := found.session.total(); !known || !total.Equal(held.Amount) {
				return &AmountError{Price: held.Amount, Amount: total}
			}
			pay, err = p.adopt(ctx, tx, bookings, held, found)
		case by.Desk != nil:
			desk := *by.Desk
			desk.Amount = held.Amount
			if err = desk.check(); err == nil || held.Amount.Minor == 0 {
				pay, err = recordDesk(ctx, tx, bookings, held, desk)
			}
		case held.Amount.Minor > 0:
			return fmt.Errorf("the booking costs %s: %w", held.Amount, ErrNotPayable)
		default:
			_, err = bookings.Confirm(ctx, held.ID)
		}
		return err
	})
	if err != nil {
		return Booked{}, err
	}
	now, err := bookings.Get(ctx, held.ID)
	if err == nil && now.Status != booking.StatusConfirmed {
		err = fmt.Errorf("the payment does not confirm the booking: %w", ErrAdopted)
	}
	return Booked{Booking: now, PaymentID: pay.ID, SessionID: pay.SessionID}, err
}

// bookedBefore returns the idempotency key's booking if it was paid as by says: the money
// is recorded, or it is refused.
func bookedBefore(ctx context.Context, q booking.Querier, b booking.Booking, by PaidBy, found stripeState) (
	Booked, error) {
	var pay Payment
	var err error
	switch {
	case by.StripeID != "":
		// Another caller may have entered it meanwhile.
		pay, err = scanPayment(q.QueryRowContext(ctx, adoptedSQL, found.intent, found.session.ID))
	case by.Desk != nil:
		pay, err = scanPayment(q.QueryRowContext(ctx, deskSQL, b.ID))
	case b.Amount.Minor == 0:
		return Booked{Booking: b}, nil
	default:
		err = sql.ErrNoRows
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Booked{}, err
	}
	if pay.BookingID != b.ID ||
		by.Desk != nil && by.StripeID == "" && (pay.Method != by.Desk.Method || pay.Reference != by.Desk.Reference) {
		return Booked{}, fmt.Errorf("the key is that of booking %s, which is %s and was not paid by this: %w", b.ID,
			b.Status, ErrNotPayable)
	}
	return Booked{Booking: b, PaymentID: pay.ID, SessionID: pay.SessionID}, nil
}

const resourceNamedSQL = `
SELECT EXISTS (SELECT FROM booking_platform.resources r
	WHERE r.id = $1::uuid AND (r.slug = $2::text OR r.id::text = lower($2::text)))`

// boundTo returns an existing payment's booking if it is the requested one.
func boundTo(ctx context.Context, q booking.Querier, bookings *booking.Tx, req booking.HoldRequest, pay Payment) (
	Booked, error) {
	b, err := bookings.Get(ctx, pay.BookingID)
	if err != nil {
		return Booked{}, err
	}
	var there bool
	if err := q.QueryRowContext(ctx, resourceNamedSQL, b.ResourceID, req.Resource).Scan(&there); err != nil {
		return Booked{}, err
	}
	if !there || !b.Start.Equal(req.Start) || b.Customer.Email != req.Customer.Email {
		return Booked{}, fmt.Errorf("it pays for booking %s: %w", b.ID, ErrAdopted)
	}
	return Booked{Booking: b, PaymentID: pay.ID, SessionID: pay.SessionID}, nil
}
