package booking

import (
	"context"
	"errors"
)

// The booking finds its placeholder gone: it waits for the count.
const retakeSQL = `
WITH gone AS (
    DELETE FROM booking_platform.bookings b WHERE b.id = $4::uuid RETURNING b.id
), changed AS (
    UPDATE booking_platform.bookings b
    SET status = 'confirmed', units = $5::text::int4multirange, updated_at = statement_timestamp()
    WHERE b.id = $1::uuid AND b.status = 'expired' AND (SELECT count(*) FROM gone) >= 0
    RETURNING 'expired' AS was,` + storedColumns + `
), recorded AS (` + recordSQL + `
    SELECT c.id, c.was, c.status, NULL, NULL, $2::text, $3::text FROM changed c
)
SELECT` + bookingColumns + `
FROM changed b`

// Retake takes the slot of an expired hold again, and confirms it: for money that has
// arrived too late. It gets whatever units are free now, at the time, the price and the
// terms it was held at, whatever the rules have become. A confirmed booking is answered
// as it is, so it may be repeated.
//
// The errors are [ErrSlotTaken] when fewer units are free than the party needs,
// [ErrSlotGone] when the slot has begun, by the database's clock, or the resource is no
// longer active, a [*StatusError] for a booking that is neither expired nor confirmed (a
// hold that still keeps its units is for [Store.ConfirmLate]), and [ErrNotFound]. Safe on
// several replicas at once, against holds and moves too. Without contention it is a
// transaction of four statements, six round trips.
func (s *Store) Retake(ctx context.Context, id string) (Booking, error) {
	b, err := mover{store: s}.retake(ctx, id)
	return b, wrap(ctx, "retake", err)
}

// Retake is [Store.Retake] in the caller's transaction, in four round trips. From the
// first on, the resource is locked for other moves, though not for holds, until the
// transaction ends. A refusal leaves the transaction usable, and nothing changed.
func (t *Tx) Retake(ctx context.Context, id string) (Booking, error) {
	b, err := mover{t.store, t.q}.retake(ctx, id)
	return b, wrap(ctx, "retake", err)
}

func (m mover) retake(ctx context.Context, id string) (b Booking, err error) {
	err = m.do(ctx, func(q Querier) (in moves, w wish, err error) {
		in, row, err := lockBooking(ctx, q, id)
		switch {
		case err != nil:
			return in, w, err
		case row.Status == Confirmed && row.Kind == Sold:
			b, err = row.booking()
			return in, w, err
		case row.Status != Expired:
			return in, w, &StatusError{ID: row.ID, Status: row.Status, Op: "retake"}
		case !row.Active || !row.StartsAt.After(row.Clock):
			return in, w, ErrSlotGone
		}
		w = wish{from: row.BlockedFrom, to: row.BlockedTo, party: row.Party, self: row.ID}
		was, err := readUnits(row.Units)
		if err != nil {
			return in, w, err
		}
		place, err := in.take(ctx, w, row.ID, was)
		if err != nil {
			return in, w, err
		}
		taken, found, err := selectOne[bookingRow](ctx, q, retakeSQL, row.ID, actorOf(ctx), "", place.Placeholder,
			place.Units)
		if err == nil && !found {
			err = errors.New("the booking is gone, which was locked")
		}
		if err == nil {
			b, err = taken.booking()
		}
		return in, w, err
	})
	if err != nil {
		return Booking{}, err
	}
	return b, nil
}
