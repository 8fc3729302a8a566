package booking

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/booking-platform/booking-platform/booking/internal/seating"
)

// target is a time, buffers included, that needs units.
type target struct {
	from, to time.Time
	party    int
	// self is the booking that is moved there and is not in its own way; "" for a new
	// one.
	self string
}

func (t target) seat() seating.Seat {
	return seating.Seat{From: t.from.UnixMicro(), To: t.to.UnixMicro(), Party: t.party}
}

// plan is the target's units, and the neighbours that change theirs for it.
type plan struct {
	units      []int
	neighbours []reservation
}

// errLapsed: expired holds have to be released first.
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

// readSeats reads the bookings in [from, to), by start, except self.
func (m lockedResource) readSeats(ctx context.Context, from, to time.Time, self string) ([]seatRow, []seating.Seat,
	error) {
	rows, err := selectAll[seatRow](ctx, m.q, seatsSQL, m.id, from.UTC(), to.UTC(), self)
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

func reservationsOf(rows []seatRow, seats []seating.Seat, assigned seating.Assignment,
	which []int) ([]reservation, error) {
	var out []reservation
	for _, i := range which {
		r, err := newReservation(rows[i].ID, seats[i].Units, assigned[i], rows[i].From, rows[i].To)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// plan finds free units, or ones that neighbours can free, and locks these. The errors
// are ErrSlotTaken and errLapsed.
func (m lockedResource) plan(ctx context.Context, t target) (plan, error) {
	rows, seats, err := m.readSeats(ctx, t.from, t.to, t.self)
	if err != nil {
		return plan{}, err
	}
	lapsed, err := m.fits(t, rows, seats)
	if err != nil {
		return plan{}, err
	}
	s := t.seat()
	if free := seating.Free(m.capacity, seats, s.From, s.To); len(free) >= t.party {
		return plan{units: pick(free, t.party)}, nil
	}
	if lapsed {
		return plan{}, errLapsed
	}
	return m.planNeighbours(ctx, t)
}

// fits returns ErrSlotTaken unless the capacity allows the target beside the bookings
// that overlap it, without expired holds, and reports whether there are any of these.
func (m lockedResource) fits(t target, rows []seatRow, seats []seating.Seat) (lapsed bool, err error) {
	var live []seating.Seat
	for i, row := range rows {
		switch {
		case !row.From.Before(t.to) || !row.To.After(t.from):
		case row.Lapsed:
			lapsed = true
		default:
			live = append(live, seats[i])
		}
	}
	s := t.seat()
	if m.capacity-seating.MaxUnits(live, s.From, s.To) < t.party {
		return lapsed, ErrSlotTaken
	}
	return lapsed, nil
}

// planNeighbours changes the units of few neighbours, no further around the target than
// necessary. Bookings that reach beyond that range, or are locked, keep theirs unless
// there is no other way. If the capacity was lowered below units in use, it blocks holds
// until the transaction ends.
func (m lockedResource) planNeighbours(ctx context.Context, t target) (plan, error) {
	kept := map[string]bool{}
	wait, alone := false, false
	for around := t.to.Sub(t.from); ; {
		from, to := t.from.Add(-around), t.to.Add(around)
		rows, seats, err := m.readSeats(ctx, from, to, t.self)
		if err != nil {
			return plan{}, err
		}
		if !alone && seating.AnyAbove(m.capacity, seats) {
			if err := m.blockHolds(ctx); err != nil {
				return plan{}, err
			}
			alone = true
			continue
		}
		if alone {
			// A hold may have been made before blockHolds, and units above the capacity
			// do not keep lower ones from being assigned.
			if lapsed, err := m.fits(t, rows, seats); err != nil {
				return plan{}, err
			} else if lapsed {
				return plan{}, errLapsed
			}
		}
		beyond := false
		for i, row := range rows {
			reaches := row.From.Before(from) || row.To.After(to)
			beyond = beyond || reaches
			seats[i].Pinned = reaches || kept[row.ID]
		}
		// Bookings above the capacity get units below it, unless even the widest range
		// has none. Holds may then sell fewer units, see seating.Sellable.
		asked := below(m.capacity, seats)
		found, ok := seating.Assign(m.capacity, asked, t.seat())
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
			found, ok = seating.Assign(m.capacity, asked, t.seat())
		}
		if !ok {
			// Possible only if the capacity was lowered below what is sold.
			return plan{}, ErrSlotTaken
		}
		out := plan{units: found[len(seats)]}
		if out.neighbours, err = reservationsOf(rows, seats, found, found.Changed(asked)); err != nil {
			return plan{}, err
		}
		missing, err := m.lockBookings(ctx, out.neighbours, wait)
		if err != nil || len(missing) == 0 {
			return out, err
		}
		for _, id := range missing {
			kept[id] = true
		}
	}
}

// below returns seats without units above n, as a party that needs others.
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

// A hold locks the resource FOR KEY SHARE and names its version, which every UPDATE
// renews. So the lock waits for holds under way, and later ones start again.
const (
	lockForUpdateSQL = `SELECT FROM booking_platform.resources r WHERE r.id = $1::uuid FOR UPDATE`
	renewVersionSQL  = `UPDATE booking_platform.resources SET updated_at = statement_timestamp() WHERE id = $1::uuid`
)

// blockHolds keeps holds that have not seen this transaction's changes from committing.
func (m lockedResource) blockHolds(ctx context.Context) error {
	for _, query := range []string{lockForUpdateSQL, renewVersionSQL} {
		if _, err := m.q.ExecContext(ctx, query, m.id); err != nil {
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

// lockBookings returns the ids it could not lock, because they are locked or have ended.
func (m lockedResource) lockBookings(ctx context.Context, all []reservation, wait bool) (missing []string, err error) {
	if len(all) == 0 {
		return nil, nil
	}
	var ids []string
	for _, r := range all {
		ids = append(ids, r.ID)
	}
	text, _ := json.Marshal(ids) // Strings cannot fail.
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
