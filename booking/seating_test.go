package booking

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// drawSeats draws bookings as they come in: each takes units at random that are free, and
// where none are it is not taken.
func drawSeats(t *rapid.T, capacity, most int) []seat {
	var seats []seat
	for range rapid.IntRange(0, most).Draw(t, "n") {
		from := rapid.Int64Range(0, 20).Draw(t, "from")
		s := seat{from: from, to: from + rapid.Int64Range(1, 6).Draw(t, "length")}
		free := freeUnits(capacity, seats, s.from, s.to)
		party := rapid.IntRange(1, max(1, capacity/2)).Draw(t, "party")
		if len(free) < party {
			continue
		}
		s.units = rapid.Permutation(free).Draw(t, "units")[:party]
		slices.Sort(s.units)
		seats = append(seats, s)
	}
	return seats
}

// drawWish draws a range that has heads free, if it has.
func drawWish(t *rapid.T, capacity int, seats []seat) (seat, bool) {
	from := rapid.Int64Range(0, 24).Draw(t, "wish from")
	wish := seat{from: from, to: from + rapid.Int64Range(1, 8).Draw(t, "wish length")}
	room := capacity - mostHeads(seats, wish.from, wish.to)
	if room < 1 {
		return seat{}, false
	}
	wish.party = rapid.IntRange(1, room).Draw(t, "wish party")
	return wish, true
}

// requireSeated checks that everybody has as many units as before, below the capacity,
// that nobody shares one, and that the pinned ones have their own.
func requireSeated(t require.TestingT, capacity int, seats []seat, wish seat, got seating) {
	all := append(slices.Clone(seats), wish)
	require.Len(t, got, len(all))
	for i, s := range all {
		require.Len(t, got[i], max(len(s.units), s.party))
		require.True(t, slices.IsSorted(got[i]))
		require.Len(t, slices.Compact(slices.Clone(got[i])), len(got[i]), "a unit twice")
		require.GreaterOrEqual(t, got[i][0], 1)
		require.LessOrEqual(t, got[i][len(got[i])-1], capacity)
		if s.pinned {
			require.Equal(t, s.units, got[i], "pinned")
		}
		for j := range i {
			if s.overlaps(all[j].from, all[j].to) {
				for _, unit := range got[i] {
					require.NotContains(t, got[j], unit, "%d and %d share a unit", i, j)
				}
			}
		}
	}
}

// Whatever heads allow finds units.
func TestSeatWishAlwaysFindsUnits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.IntRange(1, 12).Draw(t, "capacity")
		seats := drawSeats(t, capacity, 60)
		wish, ok := drawWish(t, capacity, seats)
		if !ok {
			return
		}
		got, ok := seatWish(capacity, seats, wish)
		require.True(t, ok, "no units for the wish")
		requireSeated(t, capacity, seats, wish, got)
		if len(freeUnits(capacity, seats, wish.from, wish.to)) >= wish.party {
			require.Empty(t, got.changes(seats), "units were free, and somebody moved all the same")
		}
	})
}

// With some who stay where they are it may find none; what it finds leaves them there.
func TestSeatWishKeepsThePinned(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.IntRange(1, 8).Draw(t, "capacity")
		seats := drawSeats(t, capacity, 40)
		for i := range seats {
			seats[i].pinned = rapid.IntRange(0, 3).Draw(t, "pinned") == 0
		}
		wish, ok := drawWish(t, capacity, seats)
		if !ok {
			return
		}
		if got, ok := seatWish(capacity, seats, wish); ok {
			requireSeated(t, capacity, seats, wish, got)
		}
	})
}

// Beside the fewest changes there are, found by trying all: it stays close.
func TestSeatWishChangesFew(t *testing.T) {
	t.Parallel()
	cases, changed, fewest := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		const capacity = 3
		var seats []seat
		for _, s := range drawSeats(t, capacity, 12) {
			if len(seats) < 7 {
				seats = append(seats, s)
			}
		}
		wish, ok := drawWish(t, capacity, seats)
		if !ok || len(freeUnits(capacity, seats, wish.from, wish.to)) >= wish.party {
			return
		}
		got, ok := seatWish(capacity, seats, wish)
		require.True(t, ok)
		least := fewestChanges(capacity, append(slices.Clone(seats), wish), 0, seating{}, len(seats)+1)
		cases, changed, fewest = cases+1, changed+len(got.changes(seats)), fewest+least
		require.LessOrEqual(t, len(got.changes(seats)), least+3)
	})
	t.Logf("%d cases: %d bookings changed units, %d had to", cases, changed, fewest)
	require.LessOrEqual(t, float64(changed), 1.5*float64(fewest)+3)
}

// fewestChanges tries every way to seat those from i on beside those before.
func fewestChanges(capacity int, seats []seat, i int, before seating, best int) int {
	if i == len(seats) {
		return min(best, len(before.changes(seats[:len(seats)-1])))
	}
	s := seats[i]
	for set := range 1 << capacity {
		var units []int
		for unit := 1; unit <= capacity; unit++ {
			if set>>(unit-1)&1 == 1 {
				units = append(units, unit)
			}
		}
		if len(units) != max(len(s.units), s.party) {
			continue
		}
		free := true
		for j, other := range before {
			free = free && (!s.overlaps(seats[j].from, seats[j].to) ||
				!slices.ContainsFunc(units, func(u int) bool { return slices.Contains(other, u) }))
		}
		if free {
			best = fewestChanges(capacity, seats, i+1, append(slices.Clone(before), units), best)
		}
	}
	return best
}

// Those who have units above the capacity, because it was lowered in the database, keep
// them until they have to move.
func TestSeatWishAboveTheCapacity(t *testing.T) {
	t.Parallel()
	seats := []seat{{from: 0, to: 2, units: []int{1}}, {from: 1, to: 4, units: []int{5}},
		{from: 2, to: 4, units: []int{2}}}
	got, ok := seatWish(3, seats, seat{from: 0, to: 4, party: 1})
	require.True(t, ok)
	require.Equal(t, seating{{1}, {5}, {2}, {3}}, got)
}

func TestMostHeads(t *testing.T) {
	t.Parallel()
	seats := []seat{{from: 0, to: 2, units: []int{1, 2}}, {from: 2, to: 4, units: []int{1, 2, 3}},
		{from: 3, to: 9, units: []int{4}}}
	require.Equal(t, 3, mostHeads(seats, 0, 3))
	require.Equal(t, 4, mostHeads(seats, 0, 4))
	require.Equal(t, 1, mostHeads(seats, 4, 20))
	require.Zero(t, mostHeads(seats, 9, 20))
}
