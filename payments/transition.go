package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/pg"
	"github.com/booking-platform/booking-platform/webhook"
)

// Tx is the transaction of [Options.OnTransition], whatever call, event or step makes the
// change: sqlx.ExtContext and, as SQL, the *sql.Tx itself. Do not end it, and close the
// rows you open: a hook that ends it gets [webhook.ErrTransactionEnded] returned to the
// caller, and what was not committed is rolled back.
type Tx = webhook.Tx

// TransitionKind is what happened to a payment or its booking.
type TransitionKind string

// The kinds of transitions. Each reports a new fact, so it happens once per payment,
// refund or dispute, whatever the order and repetition of events. They come in the order
// of Stripe's events: a refund made in the dashboard may be reported before its payment.
// A kind is therefore no state; those of Payment and Booking are.
const (
	// TransitionProcessing: completed with a delayed payment method, money not received.
	TransitionProcessing TransitionKind = "processing"
	// TransitionPaid: the money, Amount, came and pays for the booking. Write invoices
	// here. Booking is confirmed, or cancelled if the payment was refunded at Stripe
	// before its event was processed.
	TransitionPaid TransitionKind = "paid"
	// TransitionUnapplied: the money, Amount, cannot be applied (Payment.Unapplied says
	// why) and is refunded.
	TransitionUnapplied TransitionKind = "unapplied"
	// TransitionParked: an operator must decide, see Payment.ParkedReason. Amount is the
	// money, possibly 0.
	TransitionParked TransitionKind = "parked"
	// TransitionFailed: a delayed payment method was refused, or the Checkout was
	// abandoned.
	TransitionFailed TransitionKind = "failed"
	// TransitionExpired: not paid in time, or the hold was cancelled or released. Money
	// can still come.
	TransitionExpired TransitionKind = "expired"
	// TransitionDisputed: Dispute was opened, possibly as an inquiry.
	TransitionDisputed TransitionKind = "disputed"
	// TransitionDisputeClosed: Dispute is closed.
	TransitionDisputeClosed TransitionKind = "dispute_closed"
	// TransitionRefundDue: Refund, of Amount, was committed and will be made at Stripe.
	TransitionRefundDue TransitionKind = "refund_due"
	// TransitionRefunded: Refund, of Amount, was made at Stripe; Payment.Refunded is the
	// total. Write credit notes here.
	TransitionRefunded TransitionKind = "refunded"
	// TransitionRefundFailed: Refund, of Amount, failed or was canceled, and is no longer
	// in Payment.Refunded.
	TransitionRefundFailed TransitionKind = "refund_failed"
	// TransitionCancelled: a confirmed booking was cancelled. Booking.Refund is given
	// back.
	TransitionCancelled TransitionKind = "cancelled"
)

// Transition is the argument of [Options.OnTransition].
type Transition struct {
	Kind TransitionKind
	// Payment and Booking are as the transaction leaves them. Booking has no owner token.
	Payment Payment
	Booking booking.Booking
	// Amount is the money that moved, or zero in the payment's currency.
	Amount booking.Money
	// Refund and Dispute are nil unless the transition is about one.
	Refund  *Refund
	Dispute *Dispute
}

// transitions returns what changed between the states, in the order in which it happens.
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
	// Parked money counts as received when it is decided on.
	came := is.Captured.Minor > 0 && (was.Captured.Minor == 0 || was.parked && !is.parked)
	parked := is.parked && !was.parked
	unapplied := is.Unapplied != "" && was.Unapplied == ""
	became := func(s Status) bool { return is.Status() == s && was.Status() != s }
	add(became(StatusProcessing), TransitionProcessing, 0, nil)
	paid := came && is.Unapplied == "" && !parked
	add(paid, TransitionPaid, is.Captured.Minor, nil)
	add(unapplied, TransitionUnapplied, is.Captured.Minor, nil)
	add(parked, TransitionParked, is.Captured.Minor, nil)
	add(became(StatusFailed), TransitionFailed, 0, nil)
	add(became(StatusExpired), TransitionExpired, 0, nil)
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
	// Money refunded before its payment was known confirms the booking and cancels it at
	// once.
	confirmed := paid || before.booking.Status == booking.StatusConfirmed
	add(confirmed && after.booking.Status == booking.StatusCancelled &&
		before.booking.Status != booking.StatusCancelled,
		TransitionCancelled, 0, nil)
	return out
}

// stage: pending and succeeded are the same one.
func (s RefundStatus) stage() TransitionKind {
	switch s {
	case RefundDue:
		return TransitionRefundDue
	case RefundFailed, RefundCanceled:
		return TransitionRefundFailed
	}
	return TransitionRefunded
}

type state struct {
	payment  Payment
	refunds  []Refund
	disputes []Dispute
	booking  booking.Booking
}

func (s state) dispute(id string) (known, open bool) {
	for _, d := range s.disputes {
		if d.ID == id {
			return true, d.Status.Open()
		}
	}
	return false, false
}

// stage returns the last transition of a refund, or "".
func (s state) stage(refund string) TransitionKind {
	for _, r := range s.refunds {
		if r.ID == refund {
			return r.Status.stage()
		}
	}
	return ""
}

// observe runs a change of a booking's payments and reports its transitions to
// Options.OnTransition in the same transaction. Every change of a fact must go through
// it. States are compared, so each transition is reported once, whatever caused it.
func (p *Payments) observe(ctx context.Context, q booking.Querier, bookingID string, change func() error) error {
	if p.opts.OnTransition == nil {
		return change()
	}
	b, err := p.bookings.Tx(q).Lock(ctx, bookingID)
	if err != nil {
		return err
	}
	before, _, err := states(ctx, q, b)
	if err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	now, err := p.bookings.Tx(q).Get(ctx, bookingID)
	if err != nil {
		return err
	}
	after, xid, err := states(ctx, q, now)
	if err != nil {
		return err
	}
	tx, watch, err := hookTx(q, xid)
	if err != nil {
		return err
	}
	for i := range after {
		for _, t := range transitions(stateBefore(before, after[i].payment.ID, b), after[i]) {
			if err := p.opts.OnTransition(ctx, tx, t); err != nil {
				return fmt.Errorf("on transition %s: %w", t.Kind, err)
			}
			if err := watch.Check(ctx, q); err != nil {
				return fmt.Errorf("on transition %s: %w", t.Kind, err)
			}
		}
	}
	return nil
}

// The change may have inserted the payment.
func stateBefore(before []state, paymentID string, b booking.Booking) state {
	for _, s := range before {
		if s.payment.ID == paymentID {
			return s
		}
	}
	return state{booking: b}
}

func (p *Payments) observePayment(ctx context.Context, q booking.Querier, paymentID string,
	change func() error) error {
	if p.opts.OnTransition == nil || !isID(paymentID) {
		return change()
	}
	var id string
	err := q.QueryRowContext(ctx, `SELECT p.booking_id::text FROM booking_platform.payments p WHERE p.id = $1::uuid`,
		paymentID).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return change()
	}
	if err != nil {
		return err
	}
	return p.observe(ctx, q, id, change)
}

// Refunds change under their payment's lock, which follows the booking's.
const statePaymentsSQL = `SELECT ` + paymentColumns + `, pg_current_xact_id()::text FROM booking_platform.payments p
WHERE p.booking_id = $1::uuid ORDER BY p.id FOR NO KEY UPDATE`

const stateRefundsSQL = `SELECT ` + refundColumns + ` FROM booking_platform.refunds r
JOIN booking_platform.payments p ON p.id = r.payment_id WHERE p.booking_id = $1::uuid ORDER BY r.id`

const stateDisputesSQL = `SELECT ` + disputeColumns + ` FROM booking_platform.disputes d
JOIN booking_platform.payments p ON p.id = d.payment_id WHERE p.booking_id = $1::uuid ORDER BY d.created_at, d.id`

// states has the payments of a booking, by id, and the transaction's id. Three round
// trips.
func states(ctx context.Context, q booking.Querier, b booking.Booking) (all []state, xid string, err error) {
	rows, err := q.QueryContext(ctx, statePaymentsSQL, b.ID)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		pay, err := scanPayment(alsoScan{rows, &xid})
		if err != nil {
			return nil, "", err
		}
		all = append(all, state{payment: pay, booking: b})
	}
	if err := rows.Err(); err != nil {
		return nil, "", err
	}
	refunds, err := scanRefunds(ctx, q, stateRefundsSQL, b.ID)
	if err != nil {
		return nil, "", err
	}
	for _, r := range refunds {
		for i := range all {
			if all[i].payment.ID == r.PaymentID {
				all[i].refunds = append(all[i].refunds, r)
			}
		}
	}
	disputes, err := scanDisputes(ctx, q, stateDisputesSQL, b.ID)
	for _, d := range disputes {
		for i := range all {
			if all[i].payment.ID == d.PaymentID {
				all[i].disputes = append(all[i].disputes, d)
			}
		}
	}
	return all, xid, err
}

// hookTx is the hook's view of a transaction, a webhook handler's or this package's own.
// The watch of both finds a hook that ends it.
func hookTx(q booking.Querier, xid string) (Tx, *pg.Watch, error) {
	if own, ok := q.(*sql.Tx); ok {
		q = webhook.NewTx(own)
	}
	handed, ok := q.(interface {
		Tx
		Watch() *pg.Watch
	})
	if !ok {
		return nil, nil, pg.ErrNoTransaction
	}
	watch := handed.Watch()
	watch.XID = xid
	return handed, watch, nil
}
