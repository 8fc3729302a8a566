package booking

import (
	"context"
	"errors"
	"time"

	"github.com/booking-platform/booking-platform/internal/valid"
)

// RescheduleRequest asks for another time for a booking.
type RescheduleRequest struct {
	// ID is the booking's.
	ID string
	// Start is the instant at which the new slot begins, in any zone.
	Start time.Time
	// ByCustomer holds the move to the booking's policy; staff are not bound by it.
	ByCustomer bool
	// Reason goes into the history, at most 500 characters.
	Reason string
}

// Rescheduled is a booking at its new time.
type Rescheduled struct {
	Booking
	// Difference is what the slot costs by today's price less the booking's Amount, which
	// stays what it is: negative where it has become cheaper. It is stated and not
	// charged. Where the resource has another currency by now there is none: the zero
	// Money.
	Difference Money
}

// Reschedule gives a pending or confirmed booking another time, in one step: the new slot
// is taken and the old one freed, or nothing changes at all. The new slot may overlap the
// old one. Party, offer, amount and customer stay; the length is that of the offer today.
// Sequence is raised, and the history names both times. A booking that is there already
// is answered as it is, so a repeat does no harm. A hold that is moved to an earlier slot
// ends, at the latest, when that begins. Neighbours may get other units, and expired
// holds in the way are released: no customer is refused because of them.
//
// The errors:
//   - [*ValidationError] names id, start, reason, resource or offer: the new start must
//     be that of a slot, within notice and horizon, for staff too; a resource or an offer
//     that is no longer sold has none.
//   - [ErrSlotTaken]: fewer units are free than the party needs.
//   - [ErrPolicy]: customers may move as long as cancelling is free, or the fee could be
//     dodged.
//   - [ErrHoldExpired] for a hold whose time has passed, a [*StatusError] for a booking
//     that has ended and for a block, and [ErrNotFound].
//
// Safe on several replicas at once, against holds and other moves too: moves on one
// resource come one after the other. Without contention it is a transaction of four
// statements, six round trips, once the rules are in memory.
func (s *Store) Reschedule(ctx context.Context, req RescheduleRequest) (Rescheduled, error) {
	out, err := mover{store: s}.reschedule(ctx, req)
	return out, wrap(ctx, "reschedule", err)
}

// Reschedule is [Store.Reschedule] in the caller's transaction, in four round trips. From
// the first on, the resource is locked for other moves, though not for holds, until the
// transaction ends. A refusal leaves the transaction usable, and nothing changed.
func (t *Tx) Reschedule(ctx context.Context, req RescheduleRequest) (Rescheduled, error) {
	out, err := mover{t.store, t.q}.reschedule(ctx, req)
	return out, wrap(ctx, "reschedule", err)
}

func (m mover) reschedule(ctx context.Context, req RescheduleRequest) (out Rescheduled, err error) {
	if err := req.check().err(); err != nil {
		return Rescheduled{}, err
	}
	err = m.do(ctx, func(q Querier) (in moves, w wish, err error) {
		in, row, err := lockBooking(ctx, q, req.ID)
		if err != nil {
			return in, w, err
		}
		if err := row.mayMove(req); err != nil {
			return in, w, err
		}
		r, err := m.rulesFor(ctx, q, row)
		if err != nil {
			return in, w, err
		}
		out, err = row.at(req.Start, r)
		if err != nil || row.StartsAt.Equal(out.Start) && row.EndsAt.Equal(out.End) {
			return in, w, err
		}
		w.from, w.to = r.blocked(req.Start)
		w.party, w.self = row.Party, row.ID
		out.Booking, err = in.move(ctx, w, row, out, req.Reason)
		return in, w, err
	})
	if err != nil {
		return Rescheduled{}, err
	}
	return out, nil
}

func (req RescheduleRequest) check() problems {
	p := problems{}
	p.add("start", instantProblem(req.Start))
	p.add("reason", valid.Text(req.Reason, 500, "\n\r\t"))
	return p
}

// mayMove refuses what the booking's state or its policy does not allow.
func (row lockedRow) mayMove(req RescheduleRequest) error {
	b, err := row.booking()
	switch {
	case err != nil:
		return err
	case b.Status == Pending && row.Lapsed:
		return ErrHoldExpired
	case b.Kind != Sold, b.Status != Pending && b.Status != Confirmed:
		return &StatusError{ID: b.ID, Status: b.Status, Op: "reschedule"}
	case req.ByCustomer && !row.Clock.Before(b.Policy.terms(b.Start, row.Clock, b.Amount).FreeUntil):
		return ErrPolicy
	}
	return nil
}

// rulesFor returns the rules by which a locked booking is moved: nobody changes them
// until the transaction ends.
func (m mover) rulesFor(ctx context.Context, q Querier, row lockedRow) (*rules, error) {
	r, ok := m.store.cache.get(row.ResourceID)
	if !ok || r.version != row.Version {
		var err error
		if r, err = m.store.load(ctx, func(_ context.Context, step func(Querier) error) error { return step(q) },
			row.ResourceID); err != nil {
			return nil, err
		}
	}
	p := problems{}
	if !r.Active {
		p.add("resource", "cannot be booked")
	}
	sold, ok := r.as(row.Offer)
	if !ok {
		p.add("offer", "cannot be booked")
	}
	return sold, p.err()
}

// at is the booking in another slot, by today's rules.
func (row lockedRow) at(start time.Time, r *rules) (Rescheduled, error) {
	b, err := row.booking()
	if err != nil {
		return Rescheduled{}, err
	}
	price, ok := r.Price.times(b.Party)
	out := Rescheduled{Booking: b}
	if ok && price.Currency == b.Amount.Currency {
		out.Difference = Money{Minor: price.Minor - b.Amount.Minor, Currency: price.Currency}
	}
	out.Start, out.End = start.UTC(), start.Add(r.SlotLength).UTC()
	if row.StartsAt.Equal(start) && row.EndsAt.Equal(out.End) {
		// It is there already, whether that slot could be booked now or not.
		return out, nil
	}
	p := problems{}
	if !r.isStart(start) {
		p.add("start", "is not the start of a slot")
	}
	p.add("start", r.timing(start, row.Clock))
	return out, p.err()
}

// The booking finds its placeholder gone: it waits for the count.
const moveSQL = `
WITH gone AS (
    DELETE FROM booking_platform.bookings b WHERE b.id = $2::uuid RETURNING b.id
), changed AS (
    UPDATE booking_platform.bookings b
    SET units = $3::text::int4multirange, during = tstzrange($4::timestamptz, $5::timestamptz, '[)'),
        blocked = tstzrange($6::timestamptz, $7::timestamptz, '[)'), sequence = b.sequence + 1, updated_at = statement_timestamp(),
        hold_expires_at = CASE WHEN b.status = 'pending' THEN LEAST(b.hold_expires_at, $4::timestamptz) ELSE b.hold_expires_at END
    WHERE b.id = $1::uuid AND (SELECT count(*) FROM gone) >= 0
    RETURNING` + storedColumns + `
), deadline AS (
    UPDATE booking_platform.hold_deadlines d SET due_at = c.hold_expires_at
    FROM changed c
    WHERE d.booking_id = c.id AND d.due_at = $11::timestamptz AND c.status = 'pending' AND c.hold_expires_at < d.due_at
), recorded AS (` + recordSQL + `
    SELECT c.id, c.status, c.status, $8::timestamptz, lower(c.during), $9::text, $10::text FROM changed c
)
SELECT` + bookingColumns + `
FROM changed b`

// move takes the new place and puts the booking there.
func (m moves) move(ctx context.Context, w wish, row lockedRow, to Rescheduled, reason string) (Booking, error) {
	was, err := readUnits(row.Units)
	if err != nil {
		return Booking{}, err
	}
	place, err := m.take(ctx, w, row.ID, was)
	if err != nil {
		return Booking{}, err
	}
	moved, found, err := selectOne[bookingRow](ctx, m.q, moveSQL, row.ID, place.Placeholder, place.Units,
		to.Start, to.End, w.from.UTC(), w.to.UTC(), row.StartsAt.UTC(), actorOf(ctx), reason, row.HoldExpiresAt.UTC())
	if err == nil && !found {
		err = errors.New("the booking is gone, which was locked")
	}
	if err != nil {
		return Booking{}, err
	}
	return moved.booking()
}

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
