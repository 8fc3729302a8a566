package booking

import "context"

var release = transition{
	op: "release", from: []Status{Pending},
	sql: recorded(`
    UPDATE booking_platform.bookings b
    SET status = 'cancelled', idempotency_key = NULL, updated_at = statement_timestamp()
    WHERE b.id = $1::uuid AND b.status = 'pending'`, `'pending'`),
}

// Release gives a pending hold back before its time: its units are free, and so is its
// idempotency key, so that the same request can be made anew. A booking that is no longer
// pending is left as it is, with a [*StatusError]; an unknown one is [ErrNotFound]. Safe
// on several replicas at once; one round trip when it releases.
func (s *Store) Release(ctx context.Context, id string) (Booking, error) {
	return release.do(ctx, s.run, id, actorOf(ctx), "")
}
