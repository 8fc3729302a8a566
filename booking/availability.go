package booking

import (
	"context"
	"fmt"
	"time"
)

// Slot is a time at which a resource can be booked.
type Slot struct {
	// Start and End are in UTC; End is the instant after the last.
	Start, End time.Time
	// Remaining is how many heads still get in.
	Remaining int
}

// maxSlotRange bounds the range of one call, and so its time and memory.
const maxSlotRange = 62 * day

// The version tells whether the rules in memory are still the database's, and the clock which slots are within notice
// and horizon. Bookings come unit range by unit range, by their beginning; expired holds keep nobody out and are left
// out.
const takenSQL = `
SELECT r.version::text AS version, statement_timestamp() AS clock, t.blocked_from, t.blocked_to, t.unit_from, t.unit_to
FROM booking_platform.resources r LEFT JOIN LATERAL (
    SELECT lower(b.blocked) AS blocked_from, upper(b.blocked) AS blocked_to, lower(u.span) AS unit_from, upper(u.span) AS unit_to
    FROM booking_platform.bookings b, unnest(b.units) AS u(span)
    WHERE b.active AND b.resource_id = r.id AND b.blocked && tstzrange($2::timestamptz, $3::timestamptz, '[)')
      AND NOT (b.status = 'pending' AND b.hold_expires_at <= statement_timestamp())
) t ON true
WHERE r.id = $1::uuid
ORDER BY t.blocked_from`

type takenRow struct {
	Version     string     `db:"version"`
	Clock       time.Time  `db:"clock"`
	BlockedFrom *time.Time `db:"blocked_from"`
	BlockedTo   *time.Time `db:"blocked_to"`
	UnitFrom    *int       `db:"unit_from"`
	UnitTo      *int       `db:"unit_to"`
}

// Slots returns the slots of a resource that begin in [from, to) and have room for a party (0 stands for 1), in
// order. What it offers [Store.Hold] accepts, until somebody else takes it: opening hours, notice, horizon, buffers,
// bookings and daylight saving are all looked at. An inactive resource has none.
//
// The range is 62 days at most. The errors are [ErrNotFound] and a [*ValidationError] that names from, to or party.
// One round trip, once the resource's rules are in memory.
func (s *Store) Slots(ctx context.Context, idOrSlug string, from, to time.Time, party int) ([]Slot, error) {
	if party == 0 {
		party = 1
	}
	slots, err := s.slots(ctx, idOrSlug, from, to, party)
	return slots, wrap(ctx, "slots", err)
}

func (s *Store) slots(ctx context.Context, idOrSlug string, from, to time.Time, party int) ([]Slot, error) {
	if err := rangeProblems(from, to, party).err(); err != nil {
		return nil, err
	}
	r, ok := s.cache.get(idOrSlug)
	for range 3 {
		var err error
		if !ok {
			if r, err = s.load(ctx, s.run, idOrSlug); err != nil {
				return nil, err
			}
		}
		var taken []takenRow
		err = s.run(ctx, func(q Querier) (err error) {
			first, _ := r.blocked(from)
			_, last := r.blocked(to)
			taken, err = selectAll[takenRow](ctx, q, takenSQL, r.ID, first.UTC(), last.UTC())
			return err
		})
		if err != nil {
			return nil, err
		}
		if ok = len(taken) > 0 && taken[0].Version == r.version; ok {
			return r.free(from, to, party, taken), nil
		}
	}
	return nil, fmt.Errorf("the resource changes all the time: %w", errRunAgain)
}

func rangeProblems(from, to time.Time, party int) problems {
	p := problems{}
	p.add("from", instantProblem(from))
	p.add("to", instantProblem(to))
	if len(p) == 0 && !to.After(from) {
		p.add("to", "is not after from")
	}
	if len(p) == 0 && to.Sub(from) > maxSlotRange {
		p.add("to", "is more than 62 days after from")
	}
	if party < 1 {
		p.add("party", "must be at least 1")
	}
	return p
}
