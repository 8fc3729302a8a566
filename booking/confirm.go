package booking

import (
	"context"
	"time"
)

var confirm = transition{
	op: "confirm", from: []Status{Pending}, settled: Confirmed, hold: true, clock: true,
	sql: recorded(`
    UPDATE booking_platform.bookings b SET status = 'confirmed', updated_at = statement_timestamp()
    WHERE b.id = $1::uuid AND b.status = 'pending' AND b.hold_expires_at > statement_timestamp()`, `'pending'`),
}

// Confirm makes a hold stand. Confirming a confirmed booking answers it again, so it may be repeated. The errors are
// [ErrHoldExpired] when the hold's time has passed, by the database's clock; [ErrNotFound]; and a [*StatusError] for
// a booking that was cancelled, completed or missed.
//
// It is one round trip when it confirms, and touches no index. On any number of replicas at once, against releases
// and the sweep too, a hold ends in one status.
func (s *Store) Confirm(ctx context.Context, id string) (Booking, error) {
	return confirm.do(ctx, s.run, id, actorOf(ctx), "")
}

var confirmLate = transition{
	op: "confirm", from: []Status{Pending}, settled: Confirmed, hold: true,
	sql: recorded(`
    UPDATE booking_platform.bookings b SET status = 'confirmed', updated_at = statement_timestamp()
    WHERE b.id = $1::uuid AND b.status = 'pending'`, `'pending'`),
}

// ConfirmLate is [Store.Confirm] for money that has already arrived: a hold whose time has passed is confirmed all
// the same, as long as it still keeps its units, because nobody else has got them. Once it was released the error is
// [ErrHoldExpired]. One round trip when it confirms.
func (s *Store) ConfirmLate(ctx context.Context, id string) (Booking, error) {
	return confirmLate.do(ctx, s.run, id, actorOf(ctx), "")
}

// A time that is earlier than the hold's end changes nothing, and one that has passed does not bring a hold back. The rules of the
// resource are read as they are: whoever changes them meanwhile is not waited for.
var extend = transition{
	op: "extend", from: []Status{Pending}, hold: true, clock: true,
	sql: `
UPDATE booking_platform.bookings b
SET hold_expires_at = GREATEST(b.hold_expires_at, LEAST($2::timestamptz, b.created_at + make_interval(secs => r.hold_cap_seconds))),
    updated_at = statement_timestamp()
FROM booking_platform.resources r
WHERE b.id = $1::uuid AND b.status = 'pending' AND r.id = b.resource_id
  AND GREATEST(b.hold_expires_at, LEAST($2::timestamptz, b.created_at + make_interval(secs => r.hold_cap_seconds))) > statement_timestamp()
RETURNING` + bookingColumns,
}

// Extend moves the end of a hold to until, or to the HoldCap of its resource after it was made where that is earlier; and
// never to before the end it has. So one call that asks for too much gets what there is, and the booking returned tells when
// it ends now. A hold whose time has passed but which still keeps its units is taken up again, because nobody else has got
// them, as long as the cap has not passed; money that comes later still is for [Store.ConfirmLate].
//
// The errors are [ErrHoldExpired] when the hold was released, or its time and until or the cap have passed; [ErrNotFound]; a
// [*StatusError] for a booking that is no longer pending; and a [*ValidationError] for the field until where it is not
// between the years 1970 and 9998. Safe on several replicas at once; one round trip when it extends.
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
