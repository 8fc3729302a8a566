package booking

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// transition is a change of one booking that is one UPDATE, and only when that found
// nothing to change a look at the reason.
type transition struct {
	// op names it in errors.
	op string
	// sql changes the booking $1 if its status, and for some the clock, allows it, and
	// returns bookingColumns. What recorded makes takes the actor as $2 and the reason as
	// $3.
	sql string
	// from are the statuses it starts from.
	from []Status
	// settled is the status in which there is nothing left to do, and the booking is
	// answered as it is; "" is none.
	settled Status
	// hold tells that it concerns a hold: one that has expired answers ErrHoldExpired.
	hold bool
	// clock tells that the hold's time must not have passed, nor its slot have begun.
	clock bool
	// refused tells why a booking that has one of the statuses was not changed all the
	// same; nil where nothing but them decides, and an error that is nil where it can be
	// changed by now.
	refused func(bookingRow) error
}

const bookingByIDSQL = `SELECT` + bookingColumns + `
FROM booking_platform.bookings b WHERE b.id = $1::uuid`

// storedColumns are those that bookingColumns reads, for the RETURNING of a change from
// which it reads on.
const storedColumns = `
        b.id, b.kind, b.resource_id, b.offer, b.during, b.party, b.status, b.hold_expires_at, b.first_name, b.last_name,
        b.email, b.amount_minor, b.currency, b.policy, b.refund_minor, b.late_refund_minor, b.sequence, b.owner_secret,
        b.owner_nonce, b.reference, b.idempotency_key, b.request_hash, b.metadata, b.created_at, b.updated_at`

// recorded makes a statement of an UPDATE of bookings b: it writes the change of status
// into the history as well, and returns bookingColumns. was is the status before the
// change. The UPDATE cannot tell it, so it is either the only one that the UPDATE allows,
// or comes from a row that the statement has locked.
func recorded(update, was string) string {
	return `
WITH changed AS (` + update + `
    RETURNING ` + was + ` AS was,` + storedColumns + `
), recorded AS (` + recordSQL + `
    SELECT c.id, c.was, c.status, NULL, NULL, $2::text, $3::text FROM changed c
)
SELECT` + bookingColumns + `
FROM changed b`
}

// do makes the change and returns the booking after it.
func (t transition) do(ctx context.Context, run runner, id string, args ...any) (Booking, error) {
	var b Booking
	err := run(ctx, func(q Querier) (err error) {
		b, err = t.step(ctx, q, id, args)
		return err
	})
	return b, wrap(ctx, t.op, err)
}

func (t transition) step(ctx context.Context, q Querier, id string, args []any) (Booking, error) {
	if !isID(id) {
		return Booking{}, ErrNotFound
	}
	// Between the update and the look the booking may have become one that can be
	// changed; it does not go back and forth for long.
	for range 3 {
		row, changed, err := selectOne[bookingRow](ctx, q, t.sql, append([]any{strings.ToLower(id)}, args...)...)
		if err != nil {
			return Booking{}, err
		}
		if changed {
			return row.booking()
		}
		row, found, err := selectOne[bookingRow](ctx, q, bookingByIDSQL, strings.ToLower(id))
		switch {
		case err != nil:
			return Booking{}, err
		case !found:
			return Booking{}, ErrNotFound
		case row.Status == t.settled:
			return row.booking()
		case t.hold && (row.Status == Expired || t.clock && row.Status == Pending && (row.Lapsed || row.Begun)):
			return Booking{}, ErrHoldExpired
		case !slices.Contains(t.from, row.Status):
			return Booking{}, &StatusError{ID: row.ID, Status: row.Status, Op: t.op}
		}
		if t.refused != nil {
			if err := t.refused(row); err != nil {
				return Booking{}, err
			}
		}
	}
	return Booking{}, fmt.Errorf("the booking changes all the time: %w", errRunAgain)
}
