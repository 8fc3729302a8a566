package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/booking-platform/booking-platform/booking"
)

// state is a payment with its refunds and its booking, at one moment of a transaction.
type state struct {
	payment  Payment
	refunds  []Refund
	disputes []Dispute
	booking  booking.Booking
}

// dispute tells whether a dispute was there before, and open.
func (s state) dispute(id string) (known, open bool) {
	for _, d := range s.disputes {
		if d.ID == id {
			return true, d.Status.Open()
		}
	}
	return false, false
}

// stage is the transition that a refund has made before; "" for one that was not there.
func (s state) stage(refund string) TransitionKind {
	for _, r := range s.refunds {
		if r.ID == refund {
			return r.Status.stage()
		}
	}
	return ""
}

// watch makes a change to the payments of one booking, and tells the embedder's hook, in
// the same transaction, what it has changed. Every change of a fact goes through here.
// What has changed is found by comparing, so that whichever way a change comes it is told
// once, and a repeat that changes nothing tells nothing. The caller has locked the
// booking, or need not, where there is no hook.
func (p *Payments) watch(ctx context.Context, tx Tx, bookingID string, change func() error) error {
	if p.opts.OnTransition == nil {
		return change()
	}
	b, err := p.bookings.Tx(tx).Lock(ctx, bookingID)
	if err != nil {
		return err
	}
	before, err := states(ctx, tx, b)
	if err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	if b, err = p.bookings.Tx(tx).Get(ctx, bookingID); err != nil {
		return err
	}
	after, err := states(ctx, tx, b)
	if err != nil {
		return err
	}
	// Payments are made apart from all this, and under the booking's lock: there are as
	// many as before.
	for i := range after {
		for _, t := range transitions(before[i], after[i]) {
			if err := p.opts.OnTransition(ctx, hookTx{tx}, t); err != nil {
				return fmt.Errorf("on transition %s: %w", t.Kind, err)
			}
		}
	}
	return nil
}

// watchPayment is watch, where only the payment is known.
func (p *Payments) watchPayment(ctx context.Context, tx Tx, paymentID string, change func() error) error {
	if p.opts.OnTransition == nil || !isID(paymentID) {
		return change()
	}
	var id string
	err := tx.QueryRowContext(ctx, `SELECT p.booking_id::text FROM booking_platform.payments p WHERE p.id = $1::uuid`,
		paymentID).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return change()
	}
	if err != nil {
		return err
	}
	return p.watch(ctx, tx, id, change)
}

// Refunds change under their payment's lock, which comes after the booking's.
const statePaymentsSQL = `SELECT ` + paymentColumns + ` FROM booking_platform.payments p
WHERE p.booking_id = $1::uuid ORDER BY p.id FOR NO KEY UPDATE`

const stateRefundsSQL = `SELECT ` + refundColumns + ` FROM booking_platform.refunds r
JOIN booking_platform.payments p ON p.id = r.payment_id WHERE p.booking_id = $1::uuid ORDER BY r.id`

const stateDisputesSQL = `SELECT ` + disputeColumns + ` FROM booking_platform.disputes d
JOIN booking_platform.payments p ON p.id = d.payment_id WHERE p.booking_id = $1::uuid ORDER BY d.created_at, d.id`

// states reads the payments of a booking, in the order of their ids. Three round trips.
func states(ctx context.Context, tx Tx, b booking.Booking) ([]state, error) {
	rows, err := tx.QueryContext(ctx, statePaymentsSQL, b.ID)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []state
	for rows.Next() {
		pay, err := scanPayment(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, state{payment: pay, booking: b})
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	refunds, err := scanRefunds(ctx, tx, stateRefundsSQL, b.ID)
	if err != nil {
		return nil, err
	}
	for _, r := range refunds {
		for i := range all {
			if all[i].payment.ID == r.PaymentID {
				all[i].refunds = append(all[i].refunds, r)
			}
		}
	}
	disputes, err := scanDisputes(ctx, tx, stateDisputesSQL, b.ID)
	for _, d := range disputes {
		for i := range all {
			if all[i].payment.ID == d.PaymentID {
				all[i].disputes = append(all[i].disputes, d)
			}
		}
	}
	return all, err
}

// hookTx hands on what a hook may do. It does not embed the transaction: Commit and
// Rollback would come along and be found by a type assertion.
type hookTx struct{ tx Tx }

func (h hookTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return h.tx.ExecContext(ctx, query, args...)
}

func (h hookTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return h.tx.QueryContext(ctx, query, args...)
}

func (h hookTx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return h.tx.QueryRowContext(ctx, query, args...)
}

func (h hookTx) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return h.tx.PrepareContext(ctx, query)
}
