package booking

import (
	"context"
	"time"

	"github.com/booking-platform/booking-platform/internal/valid"
)

// RescheduleRequest is the new time of a booking.
type RescheduleRequest struct {
	ID string
	// Start is the new slot's beginning, in any zone.
	Start time.Time
	// ByCustomer applies the booking's policy, which does not bind staff.
	ByCustomer bool
	// Reason is for the history; at most 500 characters.
	Reason string
}

// Rescheduled is a booking at its new time.
type Rescheduled struct {
	Booking
	// Difference is today's price of the new slot less the booking's Amount, which does
	// not change: for information, not charged. It is the zero Money if the resource has
	// another currency by now.
	Difference Money
}

// Reschedule moves a pending or confirmed booking to another time atomically. The slots
// may overlap. Party, offer, amount and customer stay; the length is that of the offer
// today. Sequence is incremented and the history records both times. A booking that is
// there already is returned unchanged. The hold of an earlier slot ends when that begins
// at the latest. If necessary, other bookings get other units and expired holds are
// released.
//
// The errors:
//   - [*ValidationError] for id, start, reason, resource or offer. The new start must be
//     the start of a slot within notice and horizon, for staff too, of an active resource
//     and offer.
//   - [ErrSlotTaken]: fewer units are free than the party needs.
//   - [ErrPolicy]: customers may move a booking only while cancelling is free, because
//     otherwise a move could avoid the fee.
//   - [ErrHoldExpired], [ErrNotFound], and a [*StatusError] for a booking that has ended
//     and for a block.
//
// Safe on several replicas; relocations on one resource are serialized. Without
// contention: a transaction of four statements, six round trips, if the rules are cached.
func (s *Store) Reschedule(ctx context.Context, req RescheduleRequest) (Rescheduled, error) {
	out, err := relocator{store: s}.reschedule(ctx, req)
	return out, wrap(ctx, "reschedule", err)
}

// Reschedule is [Store.Reschedule] in the caller's transaction, in four round trips, with
// the lock of [Tx.Block].
func (t *Tx) Reschedule(ctx context.Context, req RescheduleRequest) (Rescheduled, error) {
	out, err := relocator{t.store, t.q}.reschedule(ctx, req)
	return out, wrap(ctx, "reschedule", err)
}

func (m relocator) reschedule(ctx context.Context, req RescheduleRequest) (out Rescheduled, err error) {
	if err := req.check().err(); err != nil {
		return Rescheduled{}, err
	}
	err = m.do(ctx, func(q Querier) (in lockedResource, t target, err error) {
		in, row, err := lockBooking(ctx, q, req.ID)
		if err != nil {
			return in, t, err
		}
		if err := row.mayMove(req); err != nil {
			return in, t, err
		}
		r, err := m.rulesFor(ctx, q, row)
		if err != nil {
			return in, t, err
		}
		out, err = row.movedTo(req.Start, r)
		if err != nil || row.StartsAt.Equal(out.Start) && row.EndsAt.Equal(out.End) {
			return in, t, err
		}
		t.from, t.to = r.blocked(req.Start)
		t.party, t.self = row.Party, row.ID
		before := row.bookingRow
		if out.Booking, err = in.move(ctx, t, row, out, req.Reason); err == nil {
			err = m.store.tellMove(ctx, q, before, out.Booking, Actor(ctx), req.Reason)
		}
		return in, t, err
	})
	if err != nil {
		return Rescheduled{}, err
	}
	return out, nil
}

// Validate returns the [*ValidationError] of a request that no booking could satisfy, or
// nil, without a database.
func (req RescheduleRequest) Validate() error { return req.check().err() }

func (req RescheduleRequest) check() problems {
	p := problems{}
	p.add("start", instantProblem(req.Start))
	p.add("reason", valid.Text(req.Reason, 500, "\n\r\t"))
	return p
}

func (row lockedRow) mayMove(req RescheduleRequest) error {
	b, err := row.booking()
	switch {
	case err != nil:
		return err
	case b.Status == StatusPending && row.Lapsed:
		return ErrHoldExpired
	case b.Kind != KindBooking, b.Status != StatusPending && b.Status != StatusConfirmed:
		return &StatusError{ID: b.ID, Status: b.Status, Op: "reschedule"}
	case req.ByCustomer && !row.Clock.Before(b.Policy.terms(b.Start, row.Clock, b.Amount).FreeUntil):
		return ErrPolicy
	}
	return nil
}

// rulesFor returns the current rules of a booking; its lock keeps them from changing.
func (m relocator) rulesFor(ctx context.Context, q Querier, row lockedRow) (*rules, error) {
	r, ok := m.store.cache.get(row.ResourceID)
	if !ok || r.version != row.Version {
		var err error
		if r, err = m.store.load(ctx, func(_ context.Context, step func(Querier) error) error { return step(q) },
			row.ResourceID); err != nil {
			return nil, err
		}
	}
	p := problems{}
	if r.Inactive {
		p.add("resource", "cannot be booked")
	}
	sold, ok := r.forOffer(row.Offer)
	if !ok {
		p.add("offer", "cannot be booked")
	}
	return sold, p.err()
}

func (row lockedRow) movedTo(start time.Time, r *rules) (Rescheduled, error) {
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
		// It is there already; the slot need not be bookable today.
		return out, nil
	}
	p := problems{}
	if !r.isStart(start) {
		p.add("start", "is not the start of a slot")
	}
	p.add("start", r.timing(start, row.Clock))
	return out, p.err()
}

// The subquery on gone makes the UPDATE wait until the placeholder is deleted.
const moveSQL = `
WITH gone AS (
    DELETE FROM booking_platform.bookings b WHERE b.id = $2::uuid RETURNING b.id
), changed AS (
    UPDATE booking_platform.bookings b
    SET units = $3::text::int4multirange, during = tstzrange($4::timestamptz, $5::timestamptz, '[)'),
        blocked = tstzrange($6::timestamptz, $7::timestamptz, '[)'), sequence = b.sequence + 1,
        updated_at = statement_timestamp(),
        hold_expires_at = CASE WHEN b.status = 'pending' THEN LEAST(b.hold_expires_at, $4::timestamptz)
            ELSE b.hold_expires_at END
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

func (m lockedResource) move(ctx context.Context, t target, row lockedRow, to Rescheduled,
	reason string) (Booking, error) {
	was, err := readUnits(row.Units)
	if err != nil {
		return Booking{}, err
	}
	place, err := m.acquire(ctx, t, row.ID, was)
	if err != nil {
		return Booking{}, err
	}
	moved, found, err := selectOne[bookingRow](ctx, m.q, moveSQL, row.ID, place.Placeholder, place.Units,
		to.Start, to.End, t.from.UTC(), t.to.UTC(), row.StartsAt.UTC(), Actor(ctx), reason, row.HoldExpiresAt.UTC())
	if err == nil && !found {
		err = errLockedGone
	}
	if err != nil {
		return Booking{}, err
	}
	return moved.booking()
}

// The subquery on gone makes the UPDATE wait until the placeholder is deleted.
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

// Retake takes the slot of an expired hold again and confirms the booking, for a payment
// that came too late. Time, price and policy stay as held. A confirmed booking is
// returned unchanged.
//
// The errors are [ErrSlotTaken], [ErrSlotGone] if the slot has begun, by the database's
// clock, or the resource is inactive, a [*StatusError] for other statuses (for a hold
// that was not released yet see [Store.ConfirmLate]), and [ErrNotFound]. Safe on several
// replicas. Without contention: six round trips.
func (s *Store) Retake(ctx context.Context, id string) (Booking, error) {
	b, err := relocator{store: s}.retake(ctx, id)
	return b, wrap(ctx, "retake", err)
}

// Retake is [Store.Retake] in the caller's transaction, in four round trips, with the
// lock of [Tx.Block].
func (t *Tx) Retake(ctx context.Context, id string) (Booking, error) {
	b, err := relocator{t.store, t.q}.retake(ctx, id)
	return b, wrap(ctx, "retake", err)
}

func (m relocator) retake(ctx context.Context, id string) (b Booking, err error) {
	err = m.do(ctx, func(q Querier) (in lockedResource, t target, err error) {
		in, row, err := lockBooking(ctx, q, id)
		switch {
		case err != nil:
			return in, t, err
		case row.Status == StatusConfirmed && row.Kind == KindBooking:
			b, err = row.booking()
			return in, t, err
		case row.Status != StatusExpired:
			return in, t, &StatusError{ID: row.ID, Status: row.Status, Op: "retake"}
		case !row.Active || !row.StartsAt.After(row.Clock):
			return in, t, ErrSlotGone
		}
		t = target{from: row.BlockedFrom, to: row.BlockedTo, party: row.Party, self: row.ID}
		was, err := readUnits(row.Units)
		if err != nil {
			return in, t, err
		}
		place, err := in.acquire(ctx, t, row.ID, was)
		if err != nil {
			return in, t, err
		}
		taken, found, err := selectOne[bookingRow](ctx, q, retakeSQL, row.ID, Actor(ctx), "", place.Placeholder,
			place.Units)
		if err == nil && !found {
			err = errLockedGone
		}
		if err == nil {
			b, err = changedRow{row.Status, taken}.tell(ctx, m.store, q, nil, Actor(ctx), "")
		}
		return in, t, err
	})
	if err != nil {
		return Booking{}, err
	}
	return b, nil
}
