package booking

import (
	"context"
	"time"
)

var confirm = transition{
	op: "confirm", from: []Status{Pending}, settled: Confirmed, hold: true, clock: true,
	sql: recorded(`
    UPDATE booking_platform.bookings b SET status = 'confirmed', updated_at = statement_timestamp()
    WHERE b.id = $1::uuid AND b.status = 'pending'
      AND LEAST(b.hold_expires_at, lower(b.during)) > statement_timestamp()`, `'pending'`),
}

// Confirm makes a hold stand. Confirming a confirmed booking answers it again, so it may
// be repeated. The errors are [ErrHoldExpired] when the hold's time has passed or its
// slot has begun, by the database's clock; [ErrNotFound]; and a [*StatusError] for a
// booking that was cancelled, completed or missed.
//
// It is one round trip when it confirms, and touches no index. On any number of replicas
// at once, against releases and the sweep too, a hold ends in one status.
func (s *Store) Confirm(ctx context.Context, id string) (Booking, error) {
	return confirm.do(ctx, s.run, id, actorOf(ctx), "")
}

var confirmLate = transition{
	op: "confirm", from: []Status{Pending}, settled: Confirmed, hold: true,
	sql: recorded(`
    UPDATE booking_platform.bookings b SET status = 'confirmed', updated_at = statement_timestamp()
    WHERE b.id = $1::uuid AND b.status = 'pending' AND lower(b.during) > statement_timestamp()`, `'pending'`),
	refused: func(row bookingRow) error {
		if row.Begun {
			return ErrSlotGone
		}
		return nil
	},
}

// ConfirmLate is [Store.Confirm] for money that has already arrived: a hold whose time
// has passed is confirmed all the same, as long as it still keeps its units and its slot
// has not begun. Once it was released the error is [ErrHoldExpired]; once the slot has
// begun it is [ErrSlotGone], and the money is to be given back. One round trip when it
// confirms.
func (s *Store) ConfirmLate(ctx context.Context, id string) (Booking, error) {
	return confirmLate.do(ctx, s.run, id, actorOf(ctx), "")
}

// A time that is earlier than the hold's end changes nothing, and one that has passed
// does not bring a hold back. No hold is extended beyond its start. The rules of the
// resource are read as they are, without waiting for a change of them.
var extend = transition{
	op: "extend", from: []Status{Pending}, hold: true, clock: true,
	sql: `
UPDATE booking_platform.bookings b
SET hold_expires_at = ` + extendedSQL + `, updated_at = statement_timestamp()
FROM booking_platform.resources r
WHERE b.id = $1::uuid AND b.status = 'pending' AND r.id = b.resource_id
  AND ` + extendedSQL + ` > statement_timestamp()
RETURNING` + bookingColumns,
}

// extendedSQL is the end of a hold b of a resource r that is asked to last until $2.
const extendedSQL = `LEAST(lower(b.during), GREATEST(b.hold_expires_at,
        LEAST($2::timestamptz, b.created_at + make_interval(secs => r.hold_cap_seconds))))`

// Extend moves the end of a hold to until, or to the HoldCap of its resource after it was
// made or the start of its slot where one of them is earlier; and never to before the end
// it has. So one call that asks for too much gets what there is, and the booking returned
// tells when it ends now. A hold whose time has passed but which still keeps its units is
// taken up again, because nobody else has got them, as long as the cap has not passed;
// money that comes later still is for [Store.ConfirmLate].
//
// The errors are [ErrHoldExpired] when the hold was released, its slot has begun, or its
// time and until or the cap have passed; [ErrNotFound]; a [*StatusError] for a booking
// that is no longer pending; and a [*ValidationError] for the field until where it is not
// between the years 1970 and 9998. Safe on several replicas at once; one round trip when
// it extends.
func (s *Store) Extend(ctx context.Context, id string, until time.Time) (Booking, error) {
	return extendTo(ctx, s.run, id, until)
}

func extendTo(ctx context.Context, run runner, id string, until time.Time) (Booking, error) {
	p := problems{}
	p.add("until", instantProblem(until))
	if err := p.err(); err != nil {
		return Booking{}, wrap(ctx, extend.op, err)
	}
	return extend.do(ctx, run, id, until.UTC())
}
