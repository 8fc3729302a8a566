package booking

import (
	"cmp"
	"slices"
	"sort"
)

// Units are anonymous: a booking has to have as many as its party, and it does not matter
// which. So room that is there in heads and in no free set of units is made by giving
// neighbours other units.
//
// Intervals are easy to seat. Go through them by their beginning and give each any units
// that are free then: whatever overlaps it and has been seated covers that instant, and
// at no instant are there more heads than units. So it never fails, and whatever began
// before the wish stays where it is. The same holds the other way round, by the ends.
// Both are tried, each keeping everybody's own units wherever they are still free, and
// the one that changes fewer bookings is taken.

// seat is a booking on its units, from one instant to another in microseconds.
type seat struct {
	from, to int64
	// units are in ascending order. Some may be above the capacity, of a time when it was
	// larger.
	units []int
	// party is how many units it needs, where it has none yet.
	party int
	// pinned ones keep their units.
	pinned bool
}

func (s seat) overlaps(from, to int64) bool { return s.from < to && from < s.to }

// seating is who sits where, by the index of the seat, with the wish as the last one.
type seating [][]int

// seatWish finds units for a party from one instant to another, and says who has to
// change for it: those of the seats whose units are not their own any more. It finds some
// whenever nobody is pinned and no more heads than capacity are there at any instant.
func seatWish(capacity int, seats []seat, wish seat) (seating, bool) {
	wish.units, wish.pinned = nil, false
	all := append(slices.Clone(seats), wish)
	var best seating
	fewest := len(all)
	// Those who do not overlap the wish are asked to move only when it cannot be done
	// without them.
	for _, beyond := range []bool{false, true} {
		tried := slices.Clone(all)
		for i := range tried {
			tried[i].pinned = tried[i].pinned || !beyond && !tried[i].overlaps(wish.from, wish.to)
		}
		for _, backwards := range []bool{false, true} {
			if found, ok := seatInOrder(capacity, tried, backwards); ok {
				if n := len(found.changes(seats)); best == nil || n < fewest {
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

// changes are the indices of the seats that have other units than before.
func (s seating) changes(seats []seat) []int {
	var changed []int
	for i, was := range seats {
		if !slices.Equal(s[i], was.units) {
			changed = append(changed, i)
		}
	}
	return changed
}

// seatInOrder seats everybody by their beginning, or by their end from the last to the
// first. Pinned ones are seated already.
func seatInOrder(capacity int, seats []seat, backwards bool) (seating, bool) {
	seats = slices.Clone(seats)
	order := make([]int, len(seats))
	for i := range seats {
		order[i] = i
		if backwards {
			seats[i].from, seats[i].to = -seats[i].to, -seats[i].from
		}
	}
	// The wish is the last of those that begin with it, and so finds their units taken.
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(seats[a].from, seats[b].from) })
	line := newLines(capacity, seats, order)
	out := make(seating, len(seats))
	for turn, i := range order {
		s := seats[i]
		if s.pinned {
			out[i] = s.units
		} else if out[i] = line.choose(turn, s); out[i] == nil {
			return nil, false
		}
		for _, unit := range out[i] {
			if unit <= capacity {
				line.busy[unit] = max(line.busy[unit], s.to)
			}
		}
	}
	return out, true
}

// lines are the units: until when those already seated have each, and who sat there
// before and is still to come.
type lines struct {
	seats []seat
	order []int
	busy  []int64
	// next are the turns of those who had the unit, in order. Turns that have passed are
	// dropped.
	next [][]int
}

func newLines(capacity int, seats []seat, order []int) *lines {
	l := &lines{seats: seats, order: order, busy: make([]int64, capacity+1), next: make([][]int, capacity+1)}
	for unit := range l.busy {
		l.busy[unit] = -1 << 63
	}
	for turn, i := range order {
		for _, unit := range seats[i].units {
			if unit <= capacity {
				l.next[unit] = append(l.next[unit], turn)
			}
		}
	}
	return l
}

// choose returns units for the one whose turn it is: its own where they are free, then
// those that fewest others will miss; nil when there are not enough.
func (l *lines) choose(turn int, s seat) []int {
	var units []int
	own := map[int]bool{}
	for _, unit := range s.units {
		if unit >= len(l.busy) || l.busy[unit] <= s.from {
			units = append(units, unit)
			own[unit] = true
		}
	}
	need := max(s.party, len(s.units)) - len(units)
	if need == 0 {
		return units
	}
	type option struct{ unit, missed int }
	var options []option
	for unit := 1; unit < len(l.busy); unit++ {
		if l.busy[unit] > s.from || own[unit] {
			continue
		}
		if missed, free := l.missed(turn, unit, s.to); free {
			options = append(options, option{unit, missed})
		}
	}
	if len(options) < need {
		return nil
	}
	slices.SortStableFunc(options, func(a, b option) int { return cmp.Compare(a.missed, b.missed) })
	for _, o := range options[:need] {
		units = append(units, o.unit)
	}
	slices.Sort(units)
	return units
}

// missed counts those who are still to come, had the unit, and lose it when it is taken
// until then; false when one is pinned.
func (l *lines) missed(turn, unit int, until int64) (n int, free bool) {
	waiting := l.next[unit]
	for len(waiting) > 0 && waiting[0] <= turn {
		waiting = waiting[1:]
	}
	l.next[unit] = waiting
	for _, later := range waiting {
		s := l.seats[l.order[later]]
		if s.from >= until {
			break
		}
		if s.pinned {
			return 0, false
		}
		n++
	}
	return n, true
}

// mostHeads is the largest number of heads at any instant from one to another.
func mostHeads(seats []seat, from, to int64) int {
	type change struct {
		at    int64
		heads int
	}
	var changes []change
	for _, s := range seats {
		if s.overlaps(from, to) {
			changes = append(changes, change{max(s.from, from), len(s.units)}, change{min(s.to, to), -len(s.units)})
		}
	}
	// Who leaves at an instant is gone before the next one comes.
	slices.SortFunc(changes, func(a, b change) int {
		return cmp.Or(cmp.Compare(a.at, b.at),
			cmp.Compare(a.heads, b.heads))
	})
	heads, most := 0, 0
	for _, c := range changes {
		heads += c.heads
		most = max(most, heads)
	}
	return most
}

// anyAbove tells whether a seat has a unit above n.
func anyAbove(n int, seats []seat) bool {
	return slices.ContainsFunc(seats, func(s seat) bool { return len(s.units) > 0 && s.units[len(s.units)-1] > n })
}

// sellable is the largest number n of units, up to the capacity, of which all may be
// taken from one instant to another: at no instant are n and the heads on units above n
// more than the capacity. It is the capacity unless that was lowered, in the database,
// below a unit that is taken. Placements at the same time all keep to it, each by the
// seats it sees; so together they do not exceed the capacity either, although the
// constraint compares units and not heads.
func sellable(capacity int, seats []seat, from, to int64) int {
	if !anyAbove(capacity, seats) {
		return capacity
	}
	// Of n more units, at most as many heads are no longer above: the sum does not fall.
	return sort.Search(capacity, func(n int) bool {
		n++
		above := make([]seat, len(seats))
		for i, s := range seats {
			first, _ := slices.BinarySearch(s.units, n+1)
			above[i] = seat{from: s.from, to: s.to, units: s.units[first:]}
		}
		return n+mostHeads(above, from, to) > capacity
	})
}

// freeUnits are the sellable units that no seat has at any instant from one to another.
func freeUnits(capacity int, seats []seat, from, to int64) []int {
	taken := make([]bool, capacity+1)
	for _, s := range seats {
		for _, unit := range s.units {
			if unit <= capacity && s.overlaps(from, to) {
				taken[unit] = true
			}
		}
	}
	var free []int
	for unit := 1; unit <= sellable(capacity, seats, from, to); unit++ {
		if !taken[unit] {
			free = append(free, unit)
		}
	}
	return free
}
