package booking

import "context"

var cancelling = transition{
	op: "cancel", from: []Status{Pending, Confirmed}, settled: Cancelled,
	sql: `
UPDATE booking_platform.bookings b SET status = 'cancelled', reason = $2::text, updated_at = statement_timestamp()
WHERE b.id = $1::uuid AND b.status IN ('pending', 'confirmed')
RETURNING` + bookingColumns,
}

// Cancel ends a pending or confirmed booking and gives its units back. The reason, at most 500 characters, is stored
// with it. Cancelling a cancelled booking answers it again and leaves the first reason. Money is not touched. The
// errors are [ErrNotFound], a [*StatusError] for a booking that has expired, was completed or missed, and a
// [*ValidationError] for the field reason. Safe on several replicas at once; one round trip when it cancels.
func (s *Store) Cancel(ctx context.Context, id, reason string) (Booking, error) {
	return cancel(ctx, s.run, id, reason)
}

func cancel(ctx context.Context, run runner, id, reason string) (Booking, error) {
	p := problems{}
	p.add("reason", textProblem(reason, 500, "\n\r\t"))
	if err := p.err(); err != nil {
		return Booking{}, wrap(ctx, "cancel", err)
	}
	return cancelling.do(ctx, run, id, reason)
}

var release = transition{
	op: "release", from: []Status{Pending},
	sql: `
UPDATE booking_platform.bookings b SET status = 'cancelled', idempotency_key = NULL, updated_at = statement_timestamp()
WHERE b.id = $1::uuid AND b.status = 'pending'
RETURNING` + bookingColumns,
}

// Release gives a pending hold back before its time: its units are free, and so is its idempotency key, so that the
// same request can be made anew. A booking that is no longer pending is left as it is, with a [*StatusError]; an
// unknown one is [ErrNotFound]. Safe on several replicas at once; one round trip when it releases.
func (s *Store) Release(ctx context.Context, id string) (Booking, error) {
	return release.do(ctx, s.run, id)
}
