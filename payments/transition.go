package payments

import (
	"context"
	"database/sql"

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
