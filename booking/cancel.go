package booking

import "context"

var cancelling = transition{
	op: "cancel", from: []Status{Pending, Confirmed}, settled: Cancelled,
	sql: recorded(`
    UPDATE booking_platform.bookings b SET status = 'cancelled', reason = $3::text, updated_at = statement_timestamp()
    FROM (
        SELECT o.id, o.status FROM booking_platform.bookings o
        WHERE o.id = $1::uuid AND o.status IN ('pending', 'confirmed')
        FOR NO KEY UPDATE
    ) old
    WHERE b.id = old.id`, `old.status`),
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
	return cancelling.do(ctx, run, id, actorOf(ctx), reason)
}

var release = transition{
	op: "release", from: []Status{Pending},
	sql: recorded(`
    UPDATE booking_platform.bookings b
    SET status = 'cancelled', idempotency_key = NULL, updated_at = statement_timestamp()
    WHERE b.id = $1::uuid AND b.status = 'pending'`, `'pending'`),
}

// Release gives a pending hold back before its time: its units are free, and so is its idempotency key, so that the
// same request can be made anew. A booking that is no longer pending is left as it is, with a [*StatusError]; an
// unknown one is [ErrNotFound]. Safe on several replicas at once; one round trip when it releases.
func (s *Store) Release(ctx context.Context, id string) (Booking, error) {
	return release.do(ctx, s.run, id, actorOf(ctx), "")
}
