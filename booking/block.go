package booking

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/booking-platform/booking-platform/internal/valid"
	"github.com/google/uuid"
)

// BlockRequest asks for units to be kept from sale.
type BlockRequest struct {
	// Resource is an id or a slug.
	Resource string
	// From and To are instants in any zone, on no grid; To is the one after the last. At
	// most 366 days.
	From, To time.Time
	// Units is how many of the resource's units; 0 stands for all of them.
	Units int
	// Reason is kept with the block and in the history, at most 500 characters.
	Reason string
}

// maxBlock bounds a block, and with it how far neighbours are looked at.
const maxBlock = 366 * day

// maxConflicts bounds how many bookings a ConflictError names.
const maxConflicts = 100

// Block keeps units of a resource from being sold, for maintenance say. It is a confirmed
// booking of the kind [Block], of no customer and no price, whose party is its units; it
// obeys the same constraint, availability counts its units as taken, and [Store.Cancel]
// ends it. Opening hours, notice and horizon do not bind it, and the resource need not be
// active. Bookings in the way get other units where that makes room; expired holds in the
// way are released.
//
// The errors are a [*ConflictError] with the bookings in the way when not enough units
// can be had (errors.Is [ErrSlotTaken]), and a [*ValidationError] that names resource,
// from, to, units or reason; where the resource does not exist, errors.Is(err,
// [ErrNotFound]) holds too. Safe on several replicas at once, against holds and moves
// too. Without contention it is a transaction of four statements, six round trips.
func (s *Store) Block(ctx context.Context, req BlockRequest) (Booking, error) {
	b, err := mover{store: s}.block(ctx, req)
	return b, wrap(ctx, "block", err)
}

// Block is [Store.Block] in the caller's transaction, in four round trips. From the first
// on, the resource is locked for other moves, though not for holds, until the transaction
// ends. A refusal leaves the transaction usable, and nothing changed.
func (t *Tx) Block(ctx context.Context, req BlockRequest) (Booking, error) {
	b, err := mover{t.store, t.q}.block(ctx, req)
	return b, wrap(ctx, "block", err)
}

func (req BlockRequest) check() problems {
	p := problems{}
	if req.Resource == "" {
		p.add("resource", "is required")
	}
	p.add("from", instantProblem(req.From))
	p.add("to", instantProblem(req.To))
	if len(p) == 0 && !req.To.After(req.From) {
		p.add("to", "is not after from")
	}
	if len(p) == 0 && req.To.Sub(req.From) > maxBlock {
		p.add("to", "is more than 366 days after from")
	}
	if req.Units < 0 {
		p.add("units", "must not be negative")
	}
	p.add("reason", valid.Text(req.Reason, 500, "\n\r\t"))
	return p
}

func (m mover) block(ctx context.Context, req BlockRequest) (b Booking, err error) {
	if err := req.check().err(); err != nil {
		return Booking{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Booking{}, fmt.Errorf("make an id: %w", err)
	}
	// Postgres counts in microseconds; less than one would be nothing.
	from, to := req.From.UTC().Truncate(time.Microsecond),
		req.To.UTC().Add(time.Microsecond-1).Truncate(time.Microsecond)
	err = m.do(ctx, func(q Querier) (in moves, w wish, err error) {
		in, err = lockResource(ctx, q, req.Resource)
		if errors.Is(err, ErrNotFound) {
			err = &ValidationError{Fields: problems{"resource": "does not exist"}, cause: ErrNotFound}
		}
		if err != nil {
			return in, w, err
		}
		if req.Units > in.capacity {
			return in, w, problems{"units": fmt.Sprintf("must be at most %d", in.capacity)}.err()
		}
		w = wish{from: from, to: to, party: req.Units}
		if w.party == 0 {
			w.party = in.capacity
		}
		place, err := in.take(ctx, w, id.String(), nil)
		if errors.Is(err, ErrSlotTaken) {
			err = in.conflicts(ctx, w)
		}
		if err != nil {
			return in, w, err
		}
		row, found, err := selectOne[bookingRow](ctx, q, blockSQL, place.Placeholder, actorOf(ctx), req.Reason,
			in.currency)
		if err == nil && !found {
			err = errors.New("the block is gone, which was just made")
		}
		if err == nil {
			b, err = row.booking()
		}
		return in, w, err
	})
	if err != nil {
		return Booking{}, err
	}
	return b, nil
}

// The placeholder becomes the block.
const blockSQL = `
WITH changed AS (
    UPDATE booking_platform.bookings b SET reason = $3::text, currency = $4::text
    WHERE b.id = $1::uuid
    RETURNING` + storedColumns + `
), recorded AS (` + recordSQL + `
    SELECT c.id, '', c.status, NULL, NULL, $2::text, $3::text FROM changed c
)
SELECT` + bookingColumns + `
FROM changed b`

const conflictsSQL = `SELECT` + bookingColumns + `
FROM booking_platform.bookings b
WHERE b.active AND b.resource_id = $1::uuid AND b.blocked && tstzrange($2::timestamptz, $3::timestamptz, '[)')
  AND NOT (b.status = 'pending' AND b.hold_expires_at <= statement_timestamp())
ORDER BY lower(b.during), b.id LIMIT $4::integer`

// conflicts is the error that names who is in the way.
func (m moves) conflicts(ctx context.Context, w wish) error {
	rows, err := selectAll[bookingRow](ctx, m.q, conflictsSQL, m.resourceID, w.from.UTC(), w.to.UTC(), maxConflicts)
	if err != nil {
		return err
	}
	conflict := &ConflictError{}
	for _, row := range rows {
		b, err := row.booking()
		if err != nil {
			return err
		}
		conflict.Bookings = append(conflict.Bookings, b)
	}
	return conflict
}
