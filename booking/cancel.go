package booking

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/internal/valid"
)

// CancelRequest is which booking to cancel, and how.
type CancelRequest struct {
	ID string
	// ByCustomer applies the booking's policy, which does not bind staff.
	ByCustomer bool
	// Reason is stored, also in the history; at most 500 characters.
	Reason string
	// Refund is what staff refund of the amount, in minor units; nil means all. For
	// customers the policy decides.
	Refund *int64
	// Paying means that the customer of this hold has begun to pay: the policy binds as
	// after the confirmation, and staff may set the refund of the payment that may still
	// arrive.
	Paying bool
}

// Cancel cancels a pending or confirmed booking and frees its units. It decides the
// refund and stores it in [Booking.Refund]; paying it is up to the caller. Sequence is
// incremented. A cancelled booking is returned unchanged.
//
//   - A confirmed booking: a customer gets what [Booking.Terms] say at that instant, by
//     the database's clock; staff refund all or Refund.
//   - A hold can always be cancelled, except by a customer if it is Paying and the policy
//     does not allow it. LateRefund is the refund of a payment that arrives later: what
//     the policy gives at that instant, or for staff all or Refund.
//   - A block can be cancelled by staff only, without a refund.
//
// The errors are [ErrPolicy]; [ErrNotFound]; a [*StatusError] for a booking that has
// ended otherwise, and for a block by a customer; and a [*ValidationError] for reason and
// refund. A refund is for staff, for what was or may be paid, at most the amount, and one
// that Stripe can make in the currency (no fractions in isk and ugx, for example).
//
// Safe on several replicas. One round trip for staff, two for customers, more only if the
// booking changes meanwhile.
func (s *Store) Cancel(ctx context.Context, req CancelRequest) (Booking, error) {
	return req.do(ctx, s, s.change)
}

// Cancel is [Store.Cancel] in the caller's transaction. Above READ COMMITTED, a booking
// changed since it began is a retryable error.
func (t *Tx) Cancel(ctx context.Context, req CancelRequest) (Booking, error) {
	return req.do(ctx, t.store, t.run)
}

func (req CancelRequest) do(ctx context.Context, s *Store, run runner) (Booking, error) {
	if err := req.check().err(); err != nil {
		return Booking{}, wrap(ctx, cancelling.op, err)
	}
	if !req.ByCustomer {
		t := cancelling
		t.refused = req.refused
		return t.do(ctx, s, run, req.ID, Actor(ctx), req.Reason, req.Refund, req.Paying, req.refusedCurrencies())
	}
	var b Booking
	err := run(ctx, func(q Querier) (err error) {
		b, err = req.byCustomer(ctx, s, q)
		return err
	})
	return b, wrap(ctx, cancelling.op, err)
}

// Validate returns the [*ValidationError] of a request that no booking could satisfy, or
// nil, without a database.
func (req CancelRequest) Validate() error { return req.check().err() }

func (req CancelRequest) check() problems {
	p := problems{}
	p.add("reason", valid.Text(req.Reason, 500, "\n\r\t"))
	switch {
	case req.Refund == nil:
	case req.ByCustomer:
		p.add("refund", "is not for customers to say")
	case *req.Refund < 0:
		p.add("refund", "must not be negative")
	}
	return p
}

// The statement decides what staff refund: by default all, if it was paid.
var cancelling = transition{
	op: "cancel", from: []Status{StatusPending, StatusConfirmed}, settled: StatusCancelled,
	// Only a cancellation decides on refunds.
	undo: func(b *Booking) {
		b.Sequence--
		b.Refund, b.LateRefund = nil, nil
	},
	sql: recorded(`
    UPDATE booking_platform.bookings b
    SET status = 'cancelled', reason = $3::text, sequence = b.sequence + 1, updated_at = statement_timestamp(),
        refund_minor = CASE WHEN old.paid THEN COALESCE($4::bigint, b.amount_minor) END,
        late_refund_minor = CASE WHEN old.paying THEN $4::bigint END
    FROM (
        SELECT o.id, o.status, o.status = 'confirmed' AND o.kind = 'booking' AS paid,
            o.status = 'pending' AND o.kind = 'booking' AND $5::boolean AS paying FROM booking_platform.bookings o
        WHERE o.id = $1::uuid AND o.status IN ('pending', 'confirmed')
        FOR NO KEY UPDATE
    ) old
    WHERE b.id = old.id AND ($4::bigint IS NULL OR (old.paid OR old.paying) AND $4::bigint <= b.amount_minor
        AND ($4::bigint = b.amount_minor OR b.currency <> ALL (string_to_array($6::text, ' '))))`, `old.status`),
}

// refusedCurrencies, separated by spaces, are those in which Stripe cannot make the
// refund.
func (req CancelRequest) refusedCurrencies() string {
	if req.Refund == nil {
		return ""
	}
	return strings.Join(valid.StepRefusedIn(*req.Refund), " ")
}

func (req CancelRequest) refused(row bookingRow) error {
	switch {
	case req.Refund == nil:
		return nil
	case row.Kind != KindBooking || row.Status != StatusConfirmed && !(row.Status == StatusPending && req.Paying):
		return problems{"refund": "is not for what was not paid"}.err()
	case *req.Refund > row.AmountMinor:
		return problems{"refund": "is more than the amount"}.err()
	case *req.Refund < row.AmountMinor && valid.StepProblem(*req.Refund, row.Currency) != "":
		return problems{"refund": valid.StepProblem(*req.Refund, row.Currency)}.err()
	}
	return nil
}

const termsSQL = `SELECT statement_timestamp() AS clock,` + bookingColumns + `
FROM booking_platform.bookings b WHERE b.id = $1::uuid`

type termsRow struct {
	Clock time.Time `db:"clock"`
	bookingRow
}

// A booking that was confirmed or moved since it was read is not changed: the terms
// depend on it.
var cancelByTermsSQL = recorded(`
    UPDATE booking_platform.bookings b
    SET status = 'cancelled', reason = $3::text, sequence = b.sequence + 1, updated_at = statement_timestamp(),
        refund_minor = $4::bigint, late_refund_minor = $7::bigint
    WHERE b.id = $1::uuid AND b.status = $5::text AND lower(b.during) = $6::timestamptz`, `$5::text`)

func (req CancelRequest) byCustomer(ctx context.Context, s *Store, q Querier) (Booking, error) {
	if !isID(req.ID) {
		return Booking{}, ErrNotFound
	}
	id, query := strings.ToLower(req.ID), termsSQL
	for range 3 {
		row, found, err := selectOne[termsRow](ctx, q, query, id)
		if err == nil && !found {
			err = ErrNotFound
		}
		if err != nil {
			return Booking{}, err
		}
		b, err := row.booking()
		if err != nil || b.Kind == KindBooking && b.Status == StatusCancelled {
			return b, err
		}
		refund, late, err := req.refundAt(b, row.Clock)
		if err != nil {
			return Booking{}, err
		}
		cancelled, done, err := selectOne[changedRow](ctx, q, cancelByTermsSQL, id, Actor(ctx), req.Reason, refund,
			string(b.Status), b.Start, late)
		if err != nil {
			return Booking{}, err
		}
		if done {
			return cancelled.tell(ctx, s, q, cancelling.undo, Actor(ctx), req.Reason)
		}
		// It has changed since it was read. With the lock it cannot change again.
		query = termsSQL + ` FOR NO KEY UPDATE OF b`
	}
	return Booking{}, fmt.Errorf("the booking keeps changing: %w", errRetry)
}

// refundAt returns a customer's refund: refund for a confirmed booking, late for a hold.
func (req CancelRequest) refundAt(b Booking, at time.Time) (refund, late *int64, err error) {
	if b.Kind != KindBooking || b.Status != StatusPending && b.Status != StatusConfirmed {
		return nil, nil, &StatusError{ID: b.ID, Status: b.Status, Op: cancelling.op}
	}
	terms := b.TermsPaid(at)
	switch {
	case b.Status == StatusPending && !req.Paying:
		return nil, &terms.Refund.Minor, nil
	case !terms.Allowed:
		return nil, nil, ErrPolicy
	case b.Status == StatusPending:
		return nil, &terms.Refund.Minor, nil
	}
	return &terms.Refund.Minor, nil, nil
}

// $2 is NULL if it is unknown when the customer began to pay: then it was before the
// cancellation, which ends the payment.
const lateRefundSQL = `
UPDATE booking_platform.bookings b
SET refund_minor = b.late_refund_minor, updated_at = statement_timestamp()
WHERE b.id = $1::uuid AND b.status = 'cancelled' AND b.refund_minor IS NULL AND b.late_refund_minor < b.amount_minor
  AND ($2::timestamptz IS NULL OR $2::timestamptz <= (
      SELECT max(h.at) FROM booking_platform.booking_history h
      WHERE h.booking_id = b.id AND h.from_status <> 'cancelled' AND h.to_status = 'cancelled'))
RETURNING` + bookingColumns

// ApplyLateRefund decides about a payment that arrived for a booking which was cancelled
// as a hold. If the policy keeps a part of it, it sets Refund to LateRefund, once, and
// returns true. False means that all is refunded: cancelling was free, staff waived the
// fee, or the customer began to pay afterwards. begun is when that was, by Stripe's
// clock, or zero if unknown. One round trip.
func (t *Tx) ApplyLateRefund(ctx context.Context, id string, begun time.Time) (b Booking, kept bool, err error) {
	if !isID(id) {
		return Booking{}, false, wrap(ctx, "apply a late refund", ErrNotFound)
	}
	at := sql.NullTime{Time: begun.UTC(), Valid: !begun.IsZero()}
	err = t.run(ctx, func(q Querier) error {
		row, found, err := selectOne[bookingRow](ctx, q, lateRefundSQL, strings.ToLower(id), at)
		if err != nil || !found {
			return err
		}
		b, err = row.booking()
		kept = err == nil
		return err
	})
	return b, kept, wrap(ctx, "apply a late refund", err)
}
