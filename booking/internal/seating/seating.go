// Package seating assigns the units of a resource to bookings.
//
// The problem is that bookings hold units by number although units are interchangeable:
// enough of them may be free for a party at every instant of a slot, and yet no single
// set throughout. So [Assign] gives other bookings different units.
//
// Take the intervals by start and give each any units free at that instant: the earlier
// intervals that overlap it cover its start, where the parties together do not exceed the
// capacity. So this never fails, and earlier bookings keep their units. The same holds in
// reverse, by end. Assign tries both, prefers each booking's own units, and takes the
// result that changes fewer bookings.
package seating

import (
	"cmp"
	"slices"
	"sort"
)

// Seat is a booking's units for a time.
type Seat struct {
	// From and To are in microseconds, To exclusive.
	From, To int64
	// Units ascend. Some are above the capacity if that was lowered.
	Units []int
	// Party is the number of units needed, if more than Units.
	Party int
	// Pinned seats keep their units.
	Pinned bool
}

// Overlaps reports whether the seat has an instant in [from, to).
func (s Seat) Overlaps(from, to int64) bool { return s.From < to && from < s.To }

// Assignment holds the units of each seat, by its index.
type Assignment [][]int

// Assign finds units for target and returns those of all seats, target's last. It
// succeeds if no seat is pinned and the parties fit the capacity at every instant.
func Assign(capacity int, seats []Seat, target Seat) (Assignment, bool) {
	target.Units, target.Pinned = nil, false
	all := append(slices.Clone(seats), target)
	var best Assignment
	fewest := len(all)
	// Seats that do not overlap the target move only if there is no other way.
	for _, beyond := range []bool{false, true} {
		tried := slices.Clone(all)
		for i := range tried {
			tried[i].Pinned = tried[i].Pinned || !beyond && !tried[i].Overlaps(target.From, target.To)
		}
		for _, backwards := range []bool{false, true} {
			if found, ok := InOrder(capacity, tried, backwards); ok {
				if n := len(found.Changed(seats)); best == nil || n < fewest {
					best, fewest = found, n
				}
			}
		}
		if best != nil {
			return best, true
		}
	}
	return nil, false
}

// Changed returns the indices of the seats whose units changed.
func (a Assignment) Changed(seats []Seat) []int {
	var changed []int
	for i, seat := range seats {
		if !slices.Equal(a[i], seat.Units) {
			changed = append(changed, i)
		}
	}
	return changed
}

// InOrder makes one pass, by start, or backwards by end.
func InOrder(capacity int, seats []Seat, backwards bool) (Assignment, bool) {
	seats = slices.Clone(seats)
	order := make([]int, len(seats))
	for i := range seats {
		order[i] = i
		if backwards {
			seats[i].From, seats[i].To = -seats[i].To, -seats[i].From
		}
	}
	// Stable: of seats with the same start the target comes last, and finds theirs taken.
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(seats[a].From, seats[b].From) })
	p := newPass(capacity, seats, order)
	out := make(Assignment, len(seats))
	for turn, i := range order {
		seat := seats[i]
		if seat.Pinned {
			out[i] = seat.Units
		} else if out[i] = p.choose(turn, seat); out[i] == nil {
			return nil, false
		}
		for _, unit := range out[i] {
			if unit <= capacity {
				p.busy[unit] = max(p.busy[unit], seat.To)
			}
		}
	}
	return out, true
}

type pass struct {
	seats []Seat
	order []int
	// busy is until when each unit is assigned.
	busy []int64
	// next lists the turns of the seats that had each unit; choose drops past ones.
	next [][]int
}

func newPass(capacity int, seats []Seat, order []int) *pass {
	p := &pass{seats: seats, order: order, busy: make([]int64, capacity+1), next: make([][]int, capacity+1)}
	for unit := range p.busy {
		p.busy[unit] = -1 << 63
	}
	for turn, i := range order {
		for _, unit := range seats[i].Units {
			if unit <= capacity {
				p.next[unit] = append(p.next[unit], turn)
			}
		}
	}
	return p
}

// choose prefers a seat's own units, then those that the fewest later seats would lose.
// nil means that not enough are free.
func (p *pass) choose(turn int, seat Seat) []int {
	var units []int
	own := map[int]bool{}
	for _, unit := range seat.Units {
		if unit >= len(p.busy) || p.busy[unit] <= seat.From {
			units = append(units, unit)
			own[unit] = true
		}
	}
	need := max(seat.Party, len(seat.Units)) - len(units)
	if need == 0 {
		return units
	}
	type option struct{ unit, losers int }
	var options []option
	for unit := 1; unit < len(p.busy); unit++ {
		if p.busy[unit] > seat.From || own[unit] {
			continue
		}
		if losers, free := p.losers(turn, unit, seat.To); free {
			options = append(options, option{unit, losers})
		}
	}
	if len(options) < need {
		return nil
	}
	slices.SortStableFunc(options, func(a, b option) int { return cmp.Compare(a.losers, b.losers) })
	for _, o := range options[:need] {
		units = append(units, o.unit)
	}
	slices.Sort(units)
	return units
}

// losers counts the later seats that would lose the unit; a pinned one makes it false.
func (p *pass) losers(turn, unit int, until int64) (n int, free bool) {
	later := p.next[unit]
	for len(later) > 0 && later[0] <= turn {
		later = later[1:]
	}
	p.next[unit] = later
	for _, t := range later {
		seat := p.seats[p.order[t]]
		if seat.From >= until {
			break
		}
		if seat.Pinned {
			return 0, false
		}
		n++
	}
	return n, true
}

// MaxUnits returns the most units in use at any instant of [from, to).
func MaxUnits(seats []Seat, from, to int64) int {
	type change struct {
		at    int64
		units int
	}
	var changes []change
	for _, s := range seats {
		if s.Overlaps(from, to) {
			changes = append(changes, change{max(s.From, from), len(s.Units)}, change{min(s.To, to), -len(s.Units)})
		}
	}
	// A seat's end is free for one that starts then.
	slices.SortFunc(changes, func(a, b change) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.units, b.units))
	})
	units, most := 0, 0
	for _, c := range changes {
		units += c.units
		most = max(most, units)
	}
	return most
}

// AnyAbove reports whether a seat has a unit above n.
func AnyAbove(n int, seats []Seat) bool {
	return slices.ContainsFunc(seats, func(s Seat) bool { return len(s.Units) > 0 && s.Units[len(s.Units)-1] > n })
}

// Sellable returns the largest n up to capacity such that n and the units in use above n
// never exceed the capacity in [from, to): the capacity, unless it was lowered below a
// unit in use. The constraint compares units and not their number; concurrent placements
// that each keep to n do not exceed the capacity together.
func Sellable(capacity int, seats []Seat, from, to int64) int {
	if !AnyAbove(capacity, seats) {
		return capacity
	}
	// From n to n+1 at most one unit fewer is above: the sum does not fall.
	return sort.Search(capacity, func(n int) bool {
		n++
		above := make([]Seat, len(seats))
		for i, s := range seats {
			first, _ := slices.BinarySearch(s.Units, n+1)
			above[i] = Seat{From: s.From, To: s.To, Units: s.Units[first:]}
		}
		return n+MaxUnits(above, from, to) > capacity
	})
}

// Free returns the sellable units that no seat has in [from, to).
func Free(capacity int, seats []Seat, from, to int64) []int {
	taken := make([]bool, capacity+1)
	for _, s := range seats {
		for _, unit := range s.Units {
			if unit <= capacity && s.Overlaps(from, to) {
				taken[unit] = true
			}
		}
	}
	var free []int
	for unit := 1; unit <= Sellable(capacity, seats, from, to); unit++ {
		if !taken[unit] {
			free = append(free, unit)
		}
	}
	return free
}
