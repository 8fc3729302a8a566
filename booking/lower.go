package booking

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

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
	seated, ok := seatInOrder(capacity, sold.seats(capacity), false)
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
func (s soldUnits) seats(capacity int) []seat {
	out := make([]seat, len(s.rows))
	for i, row := range s.rows {
		out[i] = seat{from: row.Starts, to: row.Ends, party: len(s.units[i])}
		for _, unit := range s.units[i] {
			if unit <= capacity {
				out[i].units = append(out[i].units, unit)
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
func (s soldUnits) moved(to seating) []movedRow {
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
func seatPast(ctx context.Context, q Querier, resource string, sold soldUnits, seated seating) ([]movedRow, error) {
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
	seats := make([]seat, len(past.rows))
	for i, row := range past.rows {
		units, stays := now[row.ID]
		if !stays {
			units = past.units[i]
		}
		seats[i] = seat{from: row.Starts, to: row.Ends, units: units, party: len(units), pinned: stays}
		capacity = max(capacity, past.units[i][len(past.units[i])-1])
	}
	// From the last to the first: whoever overlaps one that is over and ends later covers
	// its end, when they all had units.
	found, ok := seatInOrder(capacity, seats, true)
	if !ok {
		return nil, fmt.Errorf("no units for those that are over: %w", errRunAgain)
	}
	var over soldUnits
	var to seating
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
