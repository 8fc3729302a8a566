package booking

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/booking-platform/booking-platform/booking/internal/seating"
)

// CapacityError means that a capacity cannot be lowered so far, because more is sold.
type CapacityError struct {
	// Capacity was requested, Sold is the most that is sold at any instant.
	Capacity, Sold int
	// Bookings are those at such an instant, blocks included, by start; at most 100.
	Bookings []Booking
}

func (e *CapacityError) Error() string {
	return fmt.Sprintf("capacity %d is too small: %d units are sold at one time", e.Capacity, e.Sold)
}

// lapsedError: expired holds have to be released first, in [from, to).
type lapsedError struct {
	resource string
	from, to time.Time
}

func (e *lapsedError) Error() string { return errLapsed.Error() }

// farFuture is after every booking.
var farFuture, _ = Date{9999, time.December, 31}.At(0, time.UTC)

// checkCapacity leaves out expired holds.
func checkCapacity(ctx context.Context, q Querier, resource string, capacity int, now time.Time) error {
	rows, seats, err := lockedResource{q: q, id: resource}.readSeats(ctx, now, farFuture, "")
	if err != nil {
		return err
	}
	for i := len(rows) - 1; i >= 0; i-- {
		if rows[i].Lapsed {
			rows, seats = slices.Delete(rows, i, i+1), slices.Delete(seats, i, i+1)
		}
	}
	return fit(ctx, q, rows, seats, capacity)
}

// fit returns a [*CapacityError] if more than capacity is sold at some instant.
func fit(ctx context.Context, q Querier, rows []seatRow, seats []seating.Seat, capacity int) error {
	sold := seating.MaxUnits(seats, 0, farFuture.UnixMicro())
	if sold <= capacity {
		return nil
	}
	var ids []string
	for i, s := range seats {
		if seating.MaxUnits(seats, s.From, s.To) > capacity {
			ids = append(ids, rows[i].ID)
		}
	}
	bookings, err := readBookings(ctx, q, ids, maxNamed)
	if err != nil {
		return err
	}
	return &CapacityError{Capacity: capacity, Sold: sold, Bookings: bookings}
}

// lowerCapacity gives the bookings that end after now units up to a smaller capacity. The
// resource is locked FOR UPDATE. On a [*CapacityError] or a lapsedError nothing has
// changed.
func lowerCapacity(ctx context.Context, q Querier, resource string, capacity int, now time.Time) error {
	m := lockedResource{q: q, id: resource, capacity: capacity}
	rows, seats, err := m.readSeats(ctx, now, farFuture, "")
	if err != nil {
		return err
	}
	if lapsed := lapsedIn(resource, rows); lapsed != nil {
		return lapsed
	}
	if err := fit(ctx, q, rows, seats, capacity); err != nil || !seating.AnyAbove(capacity, seats) {
		return err
	}
	assigned, ok := seating.InOrder(capacity, below(capacity, seats), false)
	if !ok {
		return fmt.Errorf("no units for the bookings, which need no more than %d at once", capacity)
	}
	which := assigned.Changed(seats)
	moved, err := reservationsOf(rows, seats, assigned, which)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(which, func(i int) bool { return !rows[i].From.After(now) }) {
		past, err := m.planPast(ctx, rows, assigned)
		if err != nil {
			return err
		}
		moved = append(moved, past...)
	}
	return m.relocate(ctx, moved)
}

// lapsedIn is the range of expired holds. Until they are released, a late payment may
// confirm them.
func lapsedIn(resource string, rows []seatRow) error {
	out := lapsedError{resource: resource}
	for _, row := range rows {
		if !row.Lapsed {
			continue
		}
		if out.to.IsZero() || row.From.Before(out.from) {
			out.from = row.From
		}
		if row.To.After(out.to) {
			out.to = row.To
		}
	}
	if out.to.IsZero() {
		return nil
	}
	return &out
}

// planPast finds other units for bookings that are over but not completed, and so keep
// their units from those that overlapped them. These may be above the new capacity.
// current are the bookings that are not over, by start.
func (m lockedResource) planPast(ctx context.Context, current []seatRow,
	assigned seating.Assignment) ([]reservation, error) {
	fixed := map[string][]int{}
	for i, row := range current {
		fixed[row.ID] = assigned[i]
	}
	// Read further back until no booking reaches beyond the range.
	var rows []seatRow
	var seats []seating.Seat
	for since, back := current[0].From, time.Hour; ; since, back = since.Add(-back), 2*back {
		var err error
		if rows, seats, err = m.readSeats(ctx, since, farFuture, ""); err != nil {
			return nil, err
		}
		if !rows[0].From.Before(since) {
			break
		}
	}
	capacity := 0
	asked := slices.Clone(seats)
	for i, row := range rows {
		capacity = max(capacity, slices.Max(seats[i].Units))
		if units, isCurrent := fixed[row.ID]; isCurrent {
			asked[i].Units, asked[i].Pinned = units, true
		}
	}
	// By end, backwards: bookings that overlap one that is over and end later cover its
	// end, at which they all had units.
	found, ok := seating.InOrder(capacity, asked, true)
	if !ok {
		return nil, fmt.Errorf("no units for bookings that are over: %w", errRetry)
	}
	var which []int
	for _, i := range found.Changed(seats) {
		if _, isCurrent := fixed[rows[i].ID]; !isCurrent {
			which = append(which, i)
		}
	}
	return reservationsOf(rows, seats, found, which)
}

const maxNamed = 100

const bookingsByIDSQL = `SELECT` + bookingColumns + `
FROM booking_platform.bookings b
WHERE b.id IN (SELECT i::uuid FROM jsonb_array_elements_text($1::jsonb) AS i)
ORDER BY lower(b.during), b.id LIMIT $2::integer`

func readBookings(ctx context.Context, q Querier, ids []string, most int) ([]Booking, error) {
	list, _ := json.Marshal(ids) // Strings cannot fail.
	rows, err := selectAll[bookingRow](ctx, q, bookingsByIDSQL, string(list), most)
	if err != nil {
		return nil, err
	}
	return bookingsOf(rows)
}
