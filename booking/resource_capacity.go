package booking

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking/internal/seating"
)

// CapacityError tells that a resource's capacity cannot be lowered as far as was asked
// for, because more is sold.
type CapacityError struct {
	// Capacity is what was asked for, and Sold the largest number of heads at any instant
	// from now on.
	Capacity, Sold int
	// Bookings stand in the way: those at an instant with more heads than Capacity,
	// blocks too, by their start; up to 100 of them.
	Bookings []Booking
}

// Error names the numbers.
func (e *CapacityError) Error() string {
	return fmt.Sprintf("capacity %d is too small: %d heads are sold at one time", e.Capacity, e.Sold)
}

// lapsedError tells that holds whose time has passed are there, and are to be released
// first.
type lapsedError struct {
	resource string
	from, to time.Time
}

func (e *lapsedError) Error() string { return "holds whose time has passed are in the way" }

// The bookings that have units at some instant from $2 on, or from now on where that is
// earlier.
const soldSQL = `
SELECT b.id::text AS id, (extract(epoch FROM lower(b.blocked)) * 1000000)::bigint AS starts,
       (extract(epoch FROM upper(b.blocked)) * 1000000)::bigint AS ends,
       (SELECT jsonb_agg(jsonb_build_array(lower(u), upper(u))) FROM unnest(b.units) AS u)::text AS units,
       b.status = 'pending' AND b.hold_expires_at <= statement_timestamp() AS lapsed,
       upper(b.blocked) <= statement_timestamp() AS over, lower(b.blocked) <= statement_timestamp() AS begun
FROM booking_platform.bookings b
WHERE b.active AND b.resource_id = $1::uuid
  AND b.blocked && tstzrange(LEAST(statement_timestamp(), to_timestamp($2::bigint / 1000000.0)), NULL, '[)')
ORDER BY b.id`

type soldRow struct {
	ID     string `db:"id"`
	Starts int64  `db:"starts"`
	Ends   int64  `db:"ends"`
	Units  string `db:"units"`
	Lapsed bool   `db:"lapsed"`
	Over   bool   `db:"over"`
	Begun  bool   `db:"begun"`
}

// soldUnits are bookings of one resource and the units each has, by the same index.
type soldUnits struct {
	rows  []soldRow
	units [][]int
}

// farFuture is after every booking, in microseconds.
const farFuture = 1 << 60

func readSold(ctx context.Context, q Querier, resource string) (soldUnits, error) {
	return readSoldSince(ctx, q, resource, farFuture)
}

func readSoldSince(ctx context.Context, q Querier, resource string, since int64) (soldUnits, error) {
	rows, err := selectAll[soldRow](ctx, q, soldSQL, resource, since)
	if err != nil {
		return soldUnits{}, err
	}
	out := soldUnits{rows: rows}
	for _, row := range rows {
		var spans [][2]int
		if err := json.Unmarshal([]byte(row.Units), &spans); err != nil {
			return soldUnits{}, fmt.Errorf("read the units of %s: %w", row.ID, err)
		}
		var units []int
		for _, span := range spans {
			for unit := span[0]; unit < span[1]; unit++ {
				units = append(units, unit)
			}
		}
		out.units = append(out.units, units)
	}
	return out, nil
}

// without leaves out the holds whose time has passed, where lapsed says so, and what is
// over.
func (s soldUnits) without(lapsed bool) soldUnits {
	var out soldUnits
	for i, row := range s.rows {
		if !row.Over && !(lapsed && row.Lapsed) {
			out.rows, out.units = append(out.rows, row), append(out.units, s.units[i])
		}
	}
	return out
}

// fit is a [*CapacityError] when there are more heads than capacity at some instant.
func (s soldUnits) fit(ctx context.Context, q Querier, capacity int) error {
	type change struct {
		at    int64
		heads int
	}
	var changes []change
	for i, row := range s.rows {
		changes = append(changes, change{row.Starts, len(s.units[i])}, change{row.Ends, -len(s.units[i])})
	}
	// Who leaves at an instant is gone before the next one comes.
	slices.SortFunc(changes, func(a, b change) int {
		return cmp.Or(cmp.Compare(a.at, b.at),
			cmp.Compare(a.heads, b.heads))
	})
	// full are the times, from one instant to the next change, at which there are too
	// many.
	type span struct{ from, to int64 }
	var full []span
	heads, most := 0, 0
	for i, c := range changes {
		heads += c.heads
		most = max(most, heads)
		if heads > capacity && c.at < changes[i+1].at {
			full = append(full, span{c.at, changes[i+1].at})
		}
	}
	if most <= capacity {
		return nil
	}
	var ids []string
	for _, row := range s.rows {
		// The first that ends after the booking begins; they come in order.
		n, _ := slices.BinarySearchFunc(full, row.Starts,
			func(f span, starts int64) int { return cmp.Compare(f.to, starts+1) })
		if n < len(full) && full[n].from < row.Ends {
			ids = append(ids, row.ID)
		}
	}
	bookings, err := readBookings(ctx, q, ids)
	if err != nil {
		return err
	}
	return &CapacityError{Capacity: capacity, Sold: most, Bookings: bookings}
}

// maxNamed bounds the bookings that an error names.
const maxNamed = 100

const bookingsByIDSQL = `SELECT` + bookingColumns + `
FROM booking_platform.bookings b
WHERE b.id IN (SELECT i::uuid FROM jsonb_array_elements_text($1::jsonb) AS i)
ORDER BY lower(b.during), b.id LIMIT $2::integer`

// readBookings returns the first bookings of these, by their start.
func readBookings(ctx context.Context, q Querier, ids []string) ([]Booking, error) {
	// Texts can always be written.
	list, _ := json.Marshal(ids)
	rows, err := selectAll[bookingRow](ctx, q, bookingsByIDSQL, string(list), maxNamed)
	if err != nil {
		return nil, err
	}
	var out []Booking
	for _, row := range rows {
		b, err := row.booking()
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// lowerCapacity makes room below a smaller capacity, in a transaction that has the
// resource locked FOR UPDATE: nobody takes units meanwhile. It fails with a
// [*CapacityError] or a lapsedError, having changed nothing.
func lowerCapacity(ctx context.Context, q Querier, resource string, capacity int) error {
	sold, err := readSold(ctx, q, resource)
	if err != nil {
		return err
	}
	if lapsed := sold.lapsed(resource); lapsed != nil {
		return lapsed
	}
	if err := sold.fit(ctx, q, capacity); err != nil {
		return err
	}
	if !slices.ContainsFunc(sold.units, func(units []int) bool { return units[len(units)-1] > capacity }) {
		return nil
	}
	seated, ok := seating.InOrder(capacity, sold.seats(capacity), false)
	if !ok {
		return fmt.Errorf("no units for those that are sold, which are no more than %d at once", capacity)
	}
	moved := sold.moved(seated)
	if slices.ContainsFunc(moved, func(m movedRow) bool { return m.begun }) {
		past, err := seatPast(ctx, q, resource, sold, seated)
		if err != nil {
			return err
		}
		moved = append(moved, past...)
	}
	return moveUnits(ctx, q, moved)
}

// lapsed tells of holds whose time has passed: while one is pending, its money may come
// and confirm it.
func (s soldUnits) lapsed(resource string) error {
	out := lapsedError{resource: resource}
	for _, row := range s.rows {
		if !row.Lapsed {
			continue
		}
		from, to := time.UnixMicro(row.Starts), time.UnixMicro(row.Ends)
		if out.to.IsZero() || from.Before(out.from) {
			out.from = from
		}
		if to.After(out.to) {
			out.to = to
		}
	}
	if out.to.IsZero() {
		return nil
	}
	return &out
}

// seats are the bookings as the seating sees them, without the units that will be gone.
func (s soldUnits) seats(capacity int) []seating.Seat {
	out := make([]seating.Seat, len(s.rows))
	for i, row := range s.rows {
		out[i] = seating.Seat{From: row.Starts, To: row.Ends, Party: len(s.units[i])}
		for _, unit := range s.units[i] {
			if unit <= capacity {
				out[i].Units = append(out[i].Units, unit)
			}
		}
	}
	return out
}

// movedRow is a booking with its new units.
type movedRow struct {
	ID    string `json:"id"`
	Units string `json:"units"`
	// Parked are as many units that are nobody's.
	Parked string `json:"parked"`
	begun  bool
}

// moved are those that have other units than before. What is seated may end sooner.
func (s soldUnits) moved(to seating.Assignment) []movedRow {
	var out []movedRow
	for i, row := range s.rows {
		if !slices.Equal(s.units[i], to[i]) {
			out = append(out, movedRow{row.ID, multirange(to[i], 0), multirange(to[i], maxUnits), row.Begun})
		}
	}
	return out
}

// maxUnits is the largest capacity; units above it are nobody's.
const maxUnits = 10000

// multirange writes units as an int4multirange, each moved up by so many.
func multirange(units []int, up int) string {
	var b strings.Builder
	b.WriteByte('{')
	for n, unit := range units {
		if n > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "[%d,%d)", unit+up, unit+up+1)
	}
	b.WriteByte('}')
	return b.String()
}

// seatPast makes way for bookings that have begun and change their units: what is over,
// and still stands as confirmed, keeps its units from whoever overlapped it. It gets
// other ones, above the new capacity too, which matters to nobody.
func seatPast(ctx context.Context, q Querier, resource string, sold soldUnits, seated seating.Assignment) ([]movedRow, error) {
	now := map[string][]int{}
	earliest := int64(farFuture)
	for i, row := range sold.rows {
		now[row.ID] = seated[i]
		earliest = min(earliest, row.Starts)
	}
	// Who overlaps those that overlap them, and so on. Looking twice as far back each
	// time ends soon.
	var past soldUnits
	for since, back := earliest, time.Hour.Microseconds(); ; since, back = since-back, 2*back {
		var err error
		if past, err = readSoldSince(ctx, q, resource, since); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(past.rows, func(row soldRow) bool { return row.Starts < since }) {
			break
		}
	}
	capacity := 0
	seats := make([]seating.Seat, len(past.rows))
	for i, row := range past.rows {
		units, stays := now[row.ID]
		if !stays {
			units = past.units[i]
		}
		seats[i] = seating.Seat{From: row.Starts, To: row.Ends, Units: units, Party: len(units), Pinned: stays}
		capacity = max(capacity, past.units[i][len(past.units[i])-1])
	}
	// From the last to the first: whoever overlaps one that is over and ends later covers
	// its end, when they all had units.
	found, ok := seating.InOrder(capacity, seats, true)
	if !ok {
		return nil, fmt.Errorf("no units for those that are over: %w", errRunAgain)
	}
	var over soldUnits
	var to seating.Assignment
	for i, row := range past.rows {
		if row.Over {
			over.rows, over.units, to = append(over.rows, row), append(over.units, past.units[i]), append(to, found[i])
		}
	}
	return over.moved(to), nil
}

// The constraint looks at one row after the other, so all of them leave before the first
// one sits down.
const (
	parkUnitsSQL = `
UPDATE booking_platform.bookings b SET units = m.parked::int4multirange
FROM jsonb_to_recordset($1::jsonb) AS m(id uuid, parked text) WHERE b.id = m.id`
	seatUnitsSQL = `
UPDATE booking_platform.bookings b SET units = m.units::int4multirange
FROM jsonb_to_recordset($1::jsonb) AS m(id uuid, units text) WHERE b.id = m.id`
)

// moveUnits gives bookings their new units, and changes nothing else of them.
func moveUnits(ctx context.Context, q Querier, moved []movedRow) error {
	// Texts can always be written.
	list, _ := json.Marshal(moved)
	for _, query := range []string{parkUnitsSQL, seatUnitsSQL} {
		if _, err := q.ExecContext(ctx, query, string(list)); err != nil {
			return err
		}
	}
	return nil
}
