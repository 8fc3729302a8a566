package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/booking-platform/booking-platform/booking"
)

// Tx is the transaction in which [Options.OnTransition] writes. It has no method that
// ends it, and COMMIT as a statement must not be sent either. The code that sqlc
// generates takes it. Rows that were opened are to be closed.
type Tx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

// TransitionKind says what happened to a payment, or to the booking it is for.
type TransitionKind string

// The kinds of transitions. Each tells of a fact that is new, and facts only grow: so
// whatever the order of the events and however often they come, one happens once for a
// payment, and those of refunds and disputes once for each refund and each dispute.
const (
	// TransitionProcessing: the Checkout was completed by a delayed method, and the money
	// has not come yet.
	TransitionProcessing TransitionKind = "processing"
	// TransitionPaid: the money came and was applied; the booking is confirmed. Amount is
	// what came. This is where an invoice is written.
	TransitionPaid TransitionKind = "paid"
	// TransitionUnapplied: the money came and cannot be applied, for the reason in
	// Payment.Unapplied. Amount is what came; all of it goes back.
	TransitionUnapplied TransitionKind = "unapplied"
	// TransitionParked: a person has to look, for the reason in Payment.ParkedReason.
	// Amount is what came; it may be 0.
	TransitionParked TransitionKind = "parked"
	// TransitionFailed: a delayed method was refused, or the Checkout could not be begun.
	TransitionFailed TransitionKind = "failed"
	// TransitionExpired: nobody paid in time. Money can still come after it.
	TransitionExpired TransitionKind = "expired"
	// TransitionDisputed: a dispute was opened, or an inquiry. Dispute is that one.
	TransitionDisputed TransitionKind = "disputed"
	// TransitionDisputeClosed: a dispute is over; the status of Dispute tells how.
	TransitionDisputeClosed TransitionKind = "dispute_closed"
	// TransitionRefundDue: a refund has been committed to, which a step has Stripe make.
	// Amount and Refund are that refund.
	TransitionRefundDue TransitionKind = "refund_due"
	// TransitionRefunded: Stripe has made a refund. Amount and Refund are that refund;
	// Payment.Refunded is the total. This is where a credit note is written.
	TransitionRefunded TransitionKind = "refunded"
	// TransitionRefundFailed: a refund was refused, or came back; it is no longer in
	// Payment.Refunded, where it was. Amount and Refund are that refund.
	TransitionRefundFailed TransitionKind = "refund_failed"
	// TransitionCancelled: a confirmed booking was cancelled, by its customer, by staff,
	// or because all of it was refunded at Stripe. Booking.Refund is what its policy or
	// staff give back.
	TransitionCancelled TransitionKind = "cancelled"
)

// Transition is one thing that happened.
type Transition struct {
	// Kind is what.
	Kind TransitionKind
	// Payment and Booking are as the transaction leaves them, whatever else it changes:
	// one that confirms and refunds makes several transitions, which see the same. The
	// booking has no owner token.
	Payment Payment
	Booking booking.Booking
	// Amount is what moved: the money that came, or the refund's. It is zero, with the
	// payment's currency, where none did.
	Amount booking.Money
	// Refund is the refund that it is about, and Dispute the dispute; nil where it is
	// about none.
	Refund  *Refund
	Dispute *Dispute
}

// transitions compares a payment and its booking before and after a change. The order is
// that in which things happen to a payment.
func transitions(before, after state) []Transition {
	var out []Transition
	is, was := after.payment, before.payment
	add := func(happened bool, kind TransitionKind, amount int64, refund *Refund) {
		if happened {
			out = append(out, Transition{
				Kind: kind, Payment: is, Booking: after.booking, Refund: refund,
				Amount: booking.Money{Minor: amount, Currency: is.Captured.Currency},
			})
		}
	}
	// Money that was parked comes when it is decided what becomes of it.
	came := is.Captured.Minor > 0 && (was.Captured.Minor == 0 || was.parked && !is.parked)
	parked := is.parked && !was.parked
	unapplied := is.Unapplied != "" && was.Unapplied == ""
	became := func(s Status) bool { return is.Status() == s && was.Status() != s }
	add(became(Processing), TransitionProcessing, 0, nil)
	paid := came && is.Unapplied == "" && !parked
	add(paid, TransitionPaid, is.Captured.Minor, nil)
	add(unapplied, TransitionUnapplied, is.Captured.Minor, nil)
	add(parked, TransitionParked, is.Captured.Minor, nil)
	add(became(Failed), TransitionFailed, 0, nil)
	add(became(Expired), TransitionExpired, 0, nil)
	for i := range after.disputes {
		d := after.disputes[i]
		known, open := before.dispute(d.ID)
		for _, t := range []struct {
			happened bool
			kind     TransitionKind
		}{{!known, TransitionDisputed}, {!d.Status.Open() && (!known || open), TransitionDisputeClosed}} {
			add(t.happened, t.kind, 0, nil)
			if t.happened {
				out[len(out)-1].Dispute = &d
			}
		}
	}
	for i := range after.refunds {
		r := after.refunds[i]
		stage := r.Status.stage()
		if stage == before.stage(r.ID) {
			continue
		}
		add(true, stage, r.Amount.Minor, &r)
	}
	// Money that was given back before it was heard of confirms its booking and cancels
	// it at once.
	confirmed := paid || before.booking.Status == booking.Confirmed
	add(confirmed && after.booking.Status == booking.Cancelled && before.booking.Status != booking.Cancelled,
		TransitionCancelled, 0, nil)
	return out
}

// stage is the transition that brings a refund to its status. That one on its way has
// arrived changes nothing more for anybody.
func (s RefundStatus) stage() TransitionKind {
	switch s {
	case RefundDue:
		return TransitionRefundDue
	case RefundFailed, RefundCanceled:
		return TransitionRefundFailed
	}
	return TransitionRefunded
}

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

// observe makes a change to the payments of one booking, and tells the embedder's hook, in
// the same transaction, what it has changed. Every change of a fact goes through here.
// What has changed is found by comparing, so that whichever way a change comes it is told
// once, and a repeat that changes nothing tells nothing. The caller has locked the
// booking, or need not, where there is no hook.
func (p *Payments) observe(ctx context.Context, tx Tx, bookingID string, change func() error) error {
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

// observePayment is watch, where only the payment is known.
func (p *Payments) observePayment(ctx context.Context, tx Tx, paymentID string, change func() error) error {
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
	return p.observe(ctx, tx, id, change)
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
