package booking

import "context"

// Complete notes that a confirmed booking took place. It is only for one that has begun,
// by the database's clock; one that was noted as missed becomes completed, as a
// correction. Where a buffer follows its slot, its units stay taken until that is over.
// Without one, and before its end, they are free from now on, and can be sold again.
// Completing a completed booking answers it again, so it may be repeated. Amount and
// Refund stay.
//
// The errors are [ErrNotBegun]; [ErrNotFound]; and a [*StatusError] for a booking that is
// pending, has expired or was cancelled, and for a block. Safe on several replicas at
// once; one round trip when it completes.
func (s *Store) Complete(ctx context.Context, id string) (Booking, error) {
	return complete.do(ctx, s.run, id, actorOf(ctx), "")
}

// Complete is [Store.Complete] in the caller's transaction. One round trip when it
// completes.
func (t *Tx) Complete(ctx context.Context, id string) (Booking, error) {
	return complete.do(ctx, t.run, id, actorOf(ctx), "")
}

// NoShow notes that the customer of a confirmed booking did not come. It is
// [Store.Complete] with the other outcome: only for one that has begun, its units stay
// taken until the buffer after it is over and are free at once where there is none, one
// that was noted as completed becomes missed, and a repeat is answered again. Nothing is
// given back: to refund some of it, cancel the booking instead. The errors are the same;
// one round trip when it is noted.
func (s *Store) NoShow(ctx context.Context, id string) (Booking, error) {
	return noShow.do(ctx, s.run, id, actorOf(ctx), "")
}

// NoShow is [Store.NoShow] in the caller's transaction. One round trip when it is noted.
func (t *Tx) NoShow(ctx context.Context, id string) (Booking, error) {
	return noShow.do(ctx, t.run, id, actorOf(ctx), "")
}

var (
	complete = transition{
		op: "complete", from: []Status{Confirmed, NoShow}, settled: Completed, refused: hasNotBegun("complete"),
		sql: recorded(`
    UPDATE booking_platform.bookings b SET status = 'completed', updated_at = statement_timestamp()
    FROM (
        SELECT o.id, o.status FROM booking_platform.bookings o
        WHERE o.id = $1::uuid AND o.status IN ('confirmed', 'no_show') AND o.kind = 'booking' AND lower(o.during) <= statement_timestamp()
        FOR NO KEY UPDATE
    ) old
    WHERE b.id = old.id`, `old.status`),
	}
	noShow = transition{
		op: "no-show", from: []Status{Confirmed, Completed}, settled: NoShow, refused: hasNotBegun("no-show"),
		sql: recorded(`
    UPDATE booking_platform.bookings b SET status = 'no_show', updated_at = statement_timestamp()
    FROM (
        SELECT o.id, o.status FROM booking_platform.bookings o
        WHERE o.id = $1::uuid AND o.status IN ('confirmed', 'completed') AND o.kind = 'booking' AND lower(o.during) <= statement_timestamp()
        FOR NO KEY UPDATE
    ) old
    WHERE b.id = old.id`, `old.status`),
	}
)

func hasNotBegun(op string) func(bookingRow) error {
	return func(row bookingRow) error {
		switch {
		case row.Kind != Sold:
			return &StatusError{ID: row.ID, Status: row.Status, Op: op}
		case !row.Begun:
			return ErrNotBegun
		}
		return nil
	}
}
