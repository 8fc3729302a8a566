package booking

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// CancelRequest asks for the end of a booking.
type CancelRequest struct {
	// ID is the booking's.
	ID string
	// ByCustomer holds the cancellation to the booking's policy; staff are not bound by it.
	ByCustomer bool
	// Reason is kept with the booking and in the history, at most 500 characters.
	Reason string
	// Refund is what staff give back of a confirmed booking's amount, in minor units of its currency; nil is all of it. What a
	// customer gets is the policy's to say.
	Refund *int64
}

// Cancel ends a pending or confirmed booking and gives its units back. It decides what is given back of the amount and keeps that
// with the booking, see [Booking.Refund]; paying it back is somebody else's. Sequence is raised.
//
//   - A confirmed booking that its customer cancels gives back what [Booking.Terms] tell at that instant, by the database's clock;
//     one that staff cancel, all of it or the Refund asked for. Where it is moved at the same time, the terms are those of the time
//     it then has.
//   - A hold may always be cancelled, by its customer too. Nothing was paid, so its Refund stays nil: money that comes after all
//     is to be given back in full.
//   - A block is for staff only, and gives nothing back.
//
// Cancelling a cancelled booking answers it again, with the first reason and the first refund, whoever asks.
//
// The errors are [ErrPolicy] where the policy does not allow it to the customer; [ErrNotFound]; a [*StatusError] for a booking that
// has expired, was completed or missed, and for a block by a customer; and a [*ValidationError] for the fields reason and refund: one
// is not for customers, not for holds and blocks, and between 0 and the amount.
//
// Safe on several replicas at once. One round trip when staff cancel, two when a customer does, and more only where the booking
// changes in between.
func (s *Store) Cancel(ctx context.Context, req CancelRequest) (Booking, error) {
	return req.do(ctx, s.run)
}

// Cancel is [Store.Cancel] in the caller's transaction. Above READ COMMITTED, a booking that was changed since the transaction began
// is a retryable error.
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
		return t.do(ctx, run, req.ID, actorOf(ctx), req.Reason, req.Refund)
	}
	var b Booking
	err := run(ctx, func(q Querier) (err error) {
		b, err = req.byCustomer(ctx, q)
		return err
	})
	return b, wrap(ctx, cancelling.op, err)
}

func (req CancelRequest) check() problems {
	p := problems{}
	p.add("reason", textProblem(req.Reason, 500, "\n\r\t"))
	switch {
	case req.Refund == nil:
	case req.ByCustomer:
		p.add("refund", "is not for customers to say")
	case *req.Refund < 0:
		p.add("refund", "must not be negative")
	}
	return p
}

// What staff cancel is decided on in the statement. Without a refund that was asked for it is all of the amount, where one was paid.
var cancelling = transition{
	op: "cancel", from: []Status{Pending, Confirmed}, settled: Cancelled,
	sql: recorded(`
    UPDATE booking_platform.bookings b
    SET status = 'cancelled', reason = $3::text, sequence = b.sequence + 1, updated_at = statement_timestamp(),
        refund_minor = CASE WHEN old.paid THEN COALESCE($4::bigint, b.amount_minor) END
    FROM (
        SELECT o.id, o.status, o.status = 'confirmed' AND o.kind = 'booking' AS paid FROM booking_platform.bookings o
        WHERE o.id = $1::uuid AND o.status IN ('pending', 'confirmed')
        FOR NO KEY UPDATE
    ) old
    WHERE b.id = old.id AND ($4::bigint IS NULL OR old.paid AND $4::bigint <= b.amount_minor)`, `old.status`),
}

// refused tells why a booking that could be cancelled was not.
func (req CancelRequest) refused(row bookingRow) error {
	switch {
	case req.Refund == nil:
		return nil
	case row.Kind != Sold || row.Status != Confirmed:
		return problems{"refund": "is not for what was not paid"}.err()
	case *req.Refund > row.AmountMinor:
		return problems{"refund": "is more than the amount"}.err()
	}
	return nil
}

const termsSQL = `SELECT statement_timestamp() AS clock,` + bookingColumns + `
FROM booking_platform.bookings b WHERE b.id = $1::uuid`

type termsRow struct {
	Clock time.Time `db:"clock"`
	bookingRow
}

// It names what the terms depend on and may change: a booking that was confirmed or moved since it was read is not found.
var cancelByTermsSQL = recorded(`
    UPDATE booking_platform.bookings b
    SET status = 'cancelled', reason = $3::text, sequence = b.sequence + 1, updated_at = statement_timestamp(),
        refund_minor = $4::bigint
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
		if err != nil || b.Kind == Sold && b.Status == Cancelled {
			return b, err
		}
		refund, err := b.refundAt(row.Clock)
		if err != nil {
			return Booking{}, err
		}
		cancelled, done, err := selectOne[bookingRow](ctx, q, cancelByTermsSQL, id, actorOf(ctx), req.Reason, refund, string(b.Status), b.Start)
		if err != nil {
			return Booking{}, err
		}
		if done {
			return cancelled.booking()
		}
		// It has changed in between. In a transaction, and in the one in which the store runs this again, it cannot a second time.
		query = termsSQL + ` FOR NO KEY UPDATE OF b`
	}
	return Booking{}, fmt.Errorf("the booking changes all the time: %w", errRunAgain)
}

// refundAt is what a customer gets back who cancels at an instant; nil for a hold.
func (b Booking) refundAt(at time.Time) (*int64, error) {
	if b.Kind != Sold || b.Status != Pending && b.Status != Confirmed {
		return nil, &StatusError{ID: b.ID, Status: b.Status, Op: cancelling.op}
	}
	terms := b.Terms(at)
	switch {
	case !terms.Allowed:
		return nil, ErrPolicy
	case b.Status == Pending:
		return nil, nil
	}
	return &terms.Refund.Minor, nil
}
