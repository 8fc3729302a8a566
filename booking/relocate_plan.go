package booking

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/booking-platform/booking-platform/booking/internal/seating"
)

// wish is a place that is asked for.
type wish struct {
	from, to time.Time
	party    int
	// self is the booking that asks, which is not in its own way; "" is none.
	self string
}

// plan is who goes where: the wish's units, and the neighbours who make room for them.
type plan struct {
	units      []int
	neighbours []place
}

// errLapsed tells that holds are in the way whose time has passed: they are to be
// released, and the plan made anew.
var errLapsed = errors.New("expired holds are in the way")

const seatsSQL = `
SELECT b.id::text AS id, lower(b.blocked) AS blocked_from, upper(b.blocked) AS blocked_to, b.units::text AS units,
       b.status = 'pending' AND b.hold_expires_at <= statement_timestamp() AS lapsed
FROM booking_platform.bookings b
WHERE b.active AND b.resource_id = $1::uuid AND b.blocked && tstzrange($2::timestamptz, $3::timestamptz, '[)')
  AND b.id IS DISTINCT FROM NULLIF($4::text, '')::uuid
ORDER BY lower(b.blocked), b.id`

type seatRow struct {
	ID     string    `db:"id"`
	From   time.Time `db:"blocked_from"`
	To     time.Time `db:"blocked_to"`
	Units  string    `db:"units"`
	Lapsed bool      `db:"lapsed"`
}

func (w wish) seat() seating.Seat {
	return seating.Seat{From: w.from.UnixMicro(), To: w.to.UnixMicro(), Party: w.party}
}

// seats reads who is there in a range, besides the one who wishes.
func (m moves) seats(ctx context.Context, w wish, from, to time.Time) ([]seatRow, []seating.Seat, error) {
	rows, err := selectAll[seatRow](ctx, m.q, seatsSQL, m.resourceID, from.UTC(), to.UTC(), w.self)
	if err != nil {
		return nil, nil, err
	}
	seats := make([]seating.Seat, len(rows))
	for i, row := range rows {
		units, err := readUnits(row.Units)
		if err != nil {
			return nil, nil, err
		}
		seats[i] = seating.Seat{From: row.From.UnixMicro(), To: row.To.UnixMicro(), Units: units}
	}
	return rows, seats, nil
}

// plan finds a place for a wish: units that are free, or else ones that neighbours make
// free who can as well sit elsewhere. The errors are ErrSlotTaken when not even the heads
// are free, and errLapsed. The neighbours are locked.
func (m moves) plan(ctx context.Context, w wish) (plan, error) {
	rows, seats, err := m.seats(ctx, w, w.from, w.to)
	if err != nil {
		return plan{}, err
	}
	var live []seating.Seat
	for i, row := range rows {
		if !row.Lapsed {
			live = append(live, seats[i])
		}
	}
	s := w.seat()
	if m.capacity-seating.MaxUnits(live, s.From, s.To) < w.party {
		return plan{}, ErrSlotTaken
	}
	if free := seating.Free(m.capacity, seats, s.From, s.To); len(free) >= w.party {
		return plan{units: pick(free, w.party)}, nil
	}
	if len(live) < len(rows) {
		return plan{}, errLapsed
	}
	return m.reseated(ctx, w)
}

// reseated asks neighbours to change units, as few as possible. It looks no further
// around the wish than it has to; whoever reaches beyond what it looks at, or is locked
// by somebody else, stays where he is, unless it cannot be done without him. Where the
// capacity was lowered below units that are taken, it keeps holds away until the
// transaction ends.
func (m moves) reseated(ctx context.Context, w wish) (plan, error) {
	kept := map[string]bool{}
	wait, alone := false, false
	for around := w.to.Sub(w.from); ; {
		from, to := w.from.Add(-around), w.to.Add(around)
		rows, seats, err := m.seats(ctx, w, from, to)
		if err != nil {
			return plan{}, err
		}
		if !alone && seating.AnyAbove(m.capacity, seats) {
			if err := m.keepHoldsAway(ctx); err != nil {
				return plan{}, err
			}
			alone = true
			continue
		}
		beyond := false
		for i, row := range rows {
			reaches := row.From.Before(from) || row.To.After(to)
			beyond = beyond || reaches
			seats[i].Pinned = reaches || kept[row.ID]
		}
		// Seats above the capacity need units below it. They stay only when even the
		// widest look finds none for them: a hold beside them may sell fewer units
		// (see seating.Sellable).
		asked := below(m.capacity, seats)
		found, ok := seating.Assign(m.capacity, asked, w.seat())
		switch {
		case ok:
		case beyond:
			around *= 4
			continue
		case len(kept) > 0:
			kept, wait = map[string]bool{}, true
			continue
		case alone:
			asked = seats
			found, ok = seating.Assign(m.capacity, asked, w.seat())
		}
		if !ok {
			// Where the capacity was lowered below what is sold, heads are not enough.
			return plan{}, ErrSlotTaken
		}
		out := plan{units: found[len(seats)]}
		for _, i := range found.Changed(asked) {
			p, err := newPlace(rows[i].ID, seats[i].Units, found[i], rows[i].From, rows[i].To)
			if err != nil {
				return plan{}, err
			}
			out.neighbours = append(out.neighbours, p)
		}
		missing, err := m.lock(ctx, out.neighbours, wait)
		if err != nil || len(missing) == 0 {
			return out, err
		}
		for _, id := range missing {
			kept[id] = true
		}
	}
}

// below are the seats without their units above n, in place of which they need others.
func below(n int, seats []seating.Seat) []seating.Seat {
	if !seating.AnyAbove(n, seats) {
		return seats
	}
	out := slices.Clone(seats)
	for i, s := range seats {
		first, _ := slices.BinarySearch(s.Units, n+1)
		out[i].Units, out[i].Party = s.Units[:first], len(s.Units)
	}
	return out
}

// Holds lock the resource FOR KEY SHARE, and name its version, which the trigger of the
// table renews: those under way are waited for, and those that come find other rules and
// look again.
const (
	lockAloneSQL    = `SELECT FROM booking_platform.resources r WHERE r.id = $1::uuid FOR UPDATE`
	renewVersionSQL = `UPDATE booking_platform.resources SET updated_at = statement_timestamp() WHERE id = $1::uuid`
)

// keepHoldsAway lets no hold of the resource commit, from now until the transaction ends,
// that has not seen what the transaction did.
func (m moves) keepHoldsAway(ctx context.Context) error {
	for _, query := range []string{lockAloneSQL, renewVersionSQL} {
		if _, err := m.q.ExecContext(ctx, query, m.resourceID); err != nil {
			return err
		}
	}
	return nil
}

const (
	lockSeatsSQL = `
SELECT b.id::text AS id FROM booking_platform.bookings b
WHERE b.active AND b.id IN (SELECT x::uuid FROM jsonb_array_elements_text($1::jsonb) AS x)
ORDER BY b.id FOR NO KEY UPDATE`
	lockFreeSeatsSQL = lockSeatsSQL + ` SKIP LOCKED`
)

// lock locks the bookings that are about to move, before any of them does, and returns
// those it could not lock: somebody else has them, or they have ended. A booking that
// ended has left its units; the next look finds it gone.
func (m moves) lock(ctx context.Context, places []place, wait bool) (missing []string, err error) {
	if len(places) == 0 {
		return nil, nil
	}
	var ids []string
	for _, p := range places {
		ids = append(ids, p.ID)
	}
	// Texts can always be written.
	text, _ := json.Marshal(ids)
	query := lockFreeSeatsSQL
	if wait {
		query = lockSeatsSQL
	}
	type row struct {
		ID string `db:"id"`
	}
	rows, err := selectAll[row](ctx, m.q, query, string(text))
	if err != nil {
		return nil, err
	}
	locked := map[string]bool{}
	for _, r := range rows {
		locked[r.ID] = true
	}
	for _, id := range ids {
		if !locked[id] {
			missing = append(missing, id)
		}
	}
	return missing, nil
}
