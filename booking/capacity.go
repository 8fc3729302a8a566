package booking

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
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
