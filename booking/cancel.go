package booking

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/internal/valid"
)

// CancelRequest asks for the end of a booking.
type CancelRequest struct {
	// ID is the booking's.
	ID string
	// ByCustomer holds the cancellation to the booking's policy; staff are not bound by
	// it.
	ByCustomer bool
	// Reason is kept with the booking and in the history, at most 500 characters.
	Reason string
	// Refund is what staff give back of a confirmed booking's amount, in minor units of
	// its currency; nil is all of it. What a customer gets is the policy's to say.
	Refund *int64
	// Paying tells of a hold that its customer has begun to pay for it, and the money is
	// on its way: the policy then binds a customer as after the confirmation, and staff
	// may say what goes back once it comes. It has no meaning for a confirmed booking.
	Paying bool
}

// Cancel ends a pending or confirmed booking and gives its units back. It decides what is
// given back of the amount and keeps that with the booking, see [Booking.Refund]; paying
// it back is somebody else's. Sequence is raised.
//
//   - A confirmed booking that its customer cancels gives back what [Booking.Terms] tell
//     at that instant, by the database's clock; one that staff cancel, all of it or the
//     Refund asked for. Where it is moved at the same time, the terms are those of the
//     time it then has.
//   - A hold may always be cancelled, by its customer too, unless it is Paying and the
//     policy does not allow it. Nothing was paid yet, so its Refund stays nil. What goes
//     back of money that comes after all is kept as its LateRefund: what the policy gives
//     at that instant where its customer cancels, and all of it, or the Refund asked for,
//     where staff do.
//   - A block is for staff only, and gives nothing back.
//
// Cancelling a cancelled booking answers it again, with the first reason and the first
// refund, whoever asks.
//
// The errors are [ErrPolicy] where the policy does not allow it to the customer;
// [ErrNotFound]; a [*StatusError] for a booking that has expired, was completed or
// missed, and for a block by a customer; and a [*ValidationError] for the fields reason
// and refund: one is not for customers, not for blocks and holds that are not Paying,
// between 0 and the amount, and one that Stripe makes in the currency (no fractions of
// isk and ugx, for one).
//
// Safe on several replicas at once. One round trip when staff cancel, two when a customer
// does, and more only where the booking changes in between.
func (s *Store) Cancel(ctx context.Context, req CancelRequest) (Booking, error) {
	return req.do(ctx, s.run)
}

// Cancel is [Store.Cancel] in the caller's transaction. Above READ COMMITTED, a booking
// that was changed since the transaction began is a retryable error.
func (t *Tx) Cancel(ctx context.Context, req CancelRequest) (Booking, error) {
	return req.do(ctx, t.run)
}

func (req CancelRequest) do(ctx context.Context, run runner) (Booking, error) {
	if err := req.check().err(); err != nil {
		return Booking{}, wrap(ctx, cancelling.op, err)
	}
	if !req.ByCustomer {
		t := cancelling
		t.refused = req.refused
		return t.do(ctx, run, req.ID, Actor(ctx), req.Reason, req.Refund, req.Paying, req.notIn())
	}
	var b Booking
	err := run(ctx, func(q Querier) (err error) {
		b, err = req.byCustomer(ctx, q)
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

// What staff cancel is decided on in the statement. Without a refund that was asked for
// it is all of the amount, where one was paid.
var cancelling = transition{
	op: "cancel", from: []Status{StatusPending, StatusConfirmed}, settled: StatusCancelled,
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

// notIn are the currencies, separated by spaces, in which Stripe does not refund what is
// asked for.
func (req CancelRequest) notIn() string {
	if req.Refund == nil {
		return ""
	}
	return strings.Join(valid.StepRefusedIn(*req.Refund), " ")
}

// refused tells why a booking that could be cancelled was not.
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

// It names what the terms depend on and may change: a booking that was confirmed or moved
// since it was read is not found.
var cancelByTermsSQL = recorded(`
    UPDATE booking_platform.bookings b
    SET status = 'cancelled', reason = $3::text, sequence = b.sequence + 1, updated_at = statement_timestamp(),
        refund_minor = $4::bigint, late_refund_minor = $7::bigint
    WHERE b.id = $1::uuid AND b.status = $5::text AND lower(b.during) = $6::timestamptz`, `$5::text`)

func (req CancelRequest) byCustomer(ctx context.Context, q Querier) (Booking, error) {
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
		cancelled, done, err := selectOne[bookingRow](ctx, q, cancelByTermsSQL, id, Actor(ctx), req.Reason, refund,
			string(b.Status), b.Start, late)
		if err != nil {
			return Booking{}, err
		}
		if done {
			return cancelled.booking()
		}
		// It has changed in between. In a transaction, and in the one in which the store
		// runs this again, it cannot a second time.
		query = termsSQL + ` FOR NO KEY UPDATE OF b`
	}
	return Booking{}, fmt.Errorf("the booking changes all the time: %w", errRetry)
}

// refundAt is what a customer gets back who cancels at an instant, of what was paid and
// of what may still come. One of them is nil: the one for a hold, the other for a
// confirmed booking.
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

// begun is NULL where it is not known when the customer began to pay: it was before the
// cancellation, with which the payment ends.
const lateRefundSQL = `
UPDATE booking_platform.bookings b
SET refund_minor = b.late_refund_minor, updated_at = statement_timestamp()
WHERE b.id = $1::uuid AND b.status = 'cancelled' AND b.refund_minor IS NULL AND b.late_refund_minor < b.amount_minor
  AND ($2::timestamptz IS NULL OR $2::timestamptz <= (
      SELECT max(h.at) FROM booking_platform.booking_history h WHERE h.booking_id = b.id AND h.to_status = 'cancelled'))
RETURNING` + bookingColumns

// ApplyLateRefund tells what becomes of money that came for a booking which was cancelled
// while it was a hold. Where a part of it is kept, the booking's Refund becomes its
// LateRefund, once, and true is returned: the rest is the fee of its policy. False means
// that all of the money goes back: the cancellation was free, staff waived the fee, or
// the customer began to pay after it. begun is when that was, by Stripe's clock, zero
// where it is not known. One round trip.
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
