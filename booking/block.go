package booking

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/booking-platform/booking-platform/internal/valid"
	"github.com/google/uuid"
)

// BlockRequest is units to keep from sale.
type BlockRequest struct {
	// Resource is an id or a slug.
	Resource string
	// From and To are instants in any zone, at most 366 days apart, To exclusive. They
	// need not match slots.
	From, To time.Time
	// Units is how many; 0 means all.
	Units int
	// Reason is stored, also in the history; at most 500 characters.
	Reason string
}

// maxBlock bounds the range in which neighbours are read.
const maxBlock = 366 * day

const maxConflicts = 100

// Block keeps units of a resource from being sold, for maintenance for example, as a
// confirmed booking of [KindBlock] without customer and price, whose party is its number
// of units. [Store.Cancel] ends it. Opening hours, notice and horizon do not apply, and
// the resource may be inactive. If necessary, other bookings get other units and expired
// holds are released.
//
// The errors are a [*ConflictError] if too few units are free, and a [*ValidationError]
// for resource, from, to, units or reason; if the resource does not exist, errors.Is(err,
// [ErrNotFound]) is true as well. Safe on several replicas. Without contention: a
// transaction of four statements, six round trips.
func (s *Store) Block(ctx context.Context, req BlockRequest) (Booking, error) {
	b, err := relocator{store: s}.block(ctx, req)
	return b, wrap(ctx, "block", err)
}

// Block is [Store.Block] in the caller's transaction, in four round trips. The resource
// stays locked against other relocations, not against holds, until it ends. A refusal
// changes nothing.
func (t *Tx) Block(ctx context.Context, req BlockRequest) (Booking, error) {
	b, err := relocator{t.store, t.q}.block(ctx, req)
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

func (m relocator) block(ctx context.Context, req BlockRequest) (b Booking, err error) {
	if err := req.check().err(); err != nil {
		return Booking{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Booking{}, fmt.Errorf("make an id: %w", err)
	}
	// Postgres stores microseconds: round outwards.
	from, to := req.From.UTC().Truncate(time.Microsecond),
		req.To.UTC().Add(time.Microsecond-1).Truncate(time.Microsecond)
	err = m.do(ctx, func(q Querier) (in lockedResource, t target, err error) {
		in, err = lockResource(ctx, q, req.Resource)
		if errors.Is(err, ErrNotFound) {
			err = &ValidationError{Fields: problems{"resource": "does not exist"}, cause: ErrNotFound}
		}
		if err != nil {
			return in, t, err
		}
		if req.Units > in.capacity {
			return in, t, problems{"units": fmt.Sprintf("must be at most %d", in.capacity)}.err()
		}
		t = target{from: from, to: to, party: req.Units}
		if t.party == 0 {
			t.party = in.capacity
		}
		place, err := in.acquire(ctx, t, id.String(), nil)
		if errors.Is(err, ErrSlotTaken) {
			err = in.conflicts(ctx, t)
		}
		if err != nil {
			return in, t, err
		}
		row, found, err := selectOne[bookingRow](ctx, q, blockSQL, place.Placeholder, Actor(ctx), req.Reason,
			in.currency)
		if err == nil && !found {
			err = errors.New("the new block is gone")
		}
		if err == nil {
			b, err = row.booking()
		}
		if err == nil {
			err = m.store.tell(ctx, q, changed("", b, Actor(ctx), req.Reason))
		}
		return in, t, err
	})
	if err != nil {
		return Booking{}, err
	}
	return b, nil
}

// The reservation's placeholder becomes the block.
const blockSQL = `
WITH changed AS (
    UPDATE booking_platform.bookings b SET reason = $3::text, currency = $4::text, created_at = statement_timestamp(),
        updated_at = statement_timestamp()
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

func (m lockedResource) conflicts(ctx context.Context, t target) error {
	rows, err := selectAll[bookingRow](ctx, m.q, conflictsSQL, m.id, t.from.UTC(), t.to.UTC(), maxConflicts)
	if err != nil {
		return err
	}
	bookings, err := bookingsOf(rows)
	if err != nil {
		return err
	}
	return &ConflictError{Bookings: bookings}
}
