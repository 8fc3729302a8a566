package seating_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/booking-platform/booking-platform/booking/internal/seating"
)

// drawSeats draws bookings as they come in: each takes free units at random, if there
// are.
func drawSeats(t *rapid.T, capacity, most int) []seating.Seat {
	var seats []seating.Seat
	for range rapid.IntRange(0, most).Draw(t, "n") {
		from := rapid.Int64Range(0, 20).Draw(t, "from")
		s := seating.Seat{From: from, To: from + rapid.Int64Range(1, 6).Draw(t, "length")}
		free := seating.Free(capacity, seats, s.From, s.To)
		party := rapid.IntRange(1, max(1, capacity/2)).Draw(t, "party")
		if len(free) < party {
			continue
		}
		s.Units = rapid.Permutation(free).Draw(t, "units")[:party]
		slices.Sort(s.Units)
		seats = append(seats, s)
	}
	return seats
}

// drawTarget draws a range with free units, if it finds one.
func drawTarget(t *rapid.T, capacity int, seats []seating.Seat) (seating.Seat, bool) {
	from := rapid.Int64Range(0, 24).Draw(t, "target from")
	target := seating.Seat{From: from, To: from + rapid.Int64Range(1, 8).Draw(t, "target length")}
	free := capacity - seating.MaxUnits(seats, target.From, target.To)
	if free < 1 {
		return seating.Seat{}, false
	}
	target.Party = rapid.IntRange(1, free).Draw(t, "target party")
	return target, true
}

// requireAssigned: every seat has as many units as before, within the capacity and
// unshared, and pinned seats keep theirs.
func requireAssigned(t require.TestingT, capacity int, seats []seating.Seat, target seating.Seat,
	got seating.Assignment) {
	all := append(slices.Clone(seats), target)
	require.Len(t, got, len(all))
	for i, s := range all {
		require.Len(t, got[i], max(len(s.Units), s.Party))
		require.True(t, slices.IsSorted(got[i]))
		require.Len(t, slices.Compact(slices.Clone(got[i])), len(got[i]), "a unit is assigned twice")
		require.GreaterOrEqual(t, got[i][0], 1)
		require.LessOrEqual(t, got[i][len(got[i])-1], capacity)
		if s.Pinned {
			require.Equal(t, s.Units, got[i], "pinned")
		}
		for j := range i {
			if s.Overlaps(all[j].From, all[j].To) {
				for _, unit := range got[i] {
					require.NotContains(t, got[j], unit, "%d and %d share a unit", i, j)
				}
			}
		}
	}
}

// Whatever heads allow finds units.
func TestAssign_AlwaysFindsUnits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.IntRange(1, 12).Draw(t, "capacity")
		seats := drawSeats(t, capacity, 60)
		target, ok := drawTarget(t, capacity, seats)
		if !ok {
			return
		}
		got, ok := seating.Assign(capacity, seats, target)
		require.True(t, ok, "no units for the target")
		requireAssigned(t, capacity, seats, target, got)
		if len(seating.Free(capacity, seats, target.From, target.To)) >= target.Party {
			require.Empty(t, got.Changed(seats), "units were free, yet a booking moved")
		}
	})
}

// It may find no units, but leaves pinned seats alone.
func TestAssign_PinnedSeatsStay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.IntRange(1, 8).Draw(t, "capacity")
		seats := drawSeats(t, capacity, 40)
		for i := range seats {
			seats[i].Pinned = rapid.IntRange(0, 3).Draw(t, "pinned") == 0
		}
		target, ok := drawTarget(t, capacity, seats)
		if !ok {
			return
		}
		if got, ok := seating.Assign(capacity, seats, target); ok {
			requireAssigned(t, capacity, seats, target, got)
		}
	})
}

// Compared with the fewest possible changes, found by trying all.
func TestAssign_ChangesFew(t *testing.T) {
	t.Parallel()
	cases, changed, fewest := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		const capacity = 3
		var seats []seating.Seat
		for _, s := range drawSeats(t, capacity, 12) {
			if len(seats) < 7 {
				seats = append(seats, s)
			}
		}
		target, ok := drawTarget(t, capacity, seats)
		if !ok || len(seating.Free(capacity, seats, target.From, target.To)) >= target.Party {
			return
		}
		got, ok := seating.Assign(capacity, seats, target)
		require.True(t, ok)
		least := fewestChanges(capacity, append(slices.Clone(seats), target), 0, seating.Assignment{}, len(seats)+1)
		cases, changed, fewest = cases+1, changed+len(got.Changed(seats)), fewest+least
		require.LessOrEqual(t, len(got.Changed(seats)), least+3)
	})
	t.Logf("%d cases: %d bookings changed units, %d had to", cases, changed, fewest)
	require.LessOrEqual(t, float64(changed), 1.5*float64(fewest)+3)
}

// fewestChanges tries every way to seat those from i on.
func fewestChanges(capacity int, seats []seating.Seat, i int, before seating.Assignment, best int) int {
	if i == len(seats) {
		return min(best, len(before.Changed(seats[:len(seats)-1])))
	}
	s := seats[i]
	for set := range 1 << capacity {
		var units []int
		for unit := 1; unit <= capacity; unit++ {
			if set>>(unit-1)&1 == 1 {
				units = append(units, unit)
			}
		}
		if len(units) != max(len(s.Units), s.Party) {
			continue
		}
		free := true
		for j, other := range before {
			free = free && (!s.Overlaps(seats[j].From, seats[j].To) ||
				!slices.ContainsFunc(units, func(u int) bool { return slices.Contains(other, u) }))
		}
		if free {
			best = fewestChanges(capacity, seats, i+1, append(slices.Clone(before), units), best)
		}
	}
	return best
}

// Units above the capacity, which was lowered by SQL, are kept until they have to move.
func TestAssign_UnitsAboveTheCapacity(t *testing.T) {
	t.Parallel()
	seats := []seating.Seat{{From: 0, To: 2, Units: []int{1}}, {From: 1, To: 4, Units: []int{5}},
		{From: 2, To: 4, Units: []int{2}}}
	got, ok := seating.Assign(3, seats, seating.Seat{From: 0, To: 4, Party: 1})
	require.True(t, ok)
	require.Equal(t, seating.Assignment{{1}, {5}, {2}, {3}}, got)
}

func TestMaxUnits(t *testing.T) {
	t.Parallel()
	seats := []seating.Seat{{From: 0, To: 2, Units: []int{1, 2}}, {From: 2, To: 4, Units: []int{1, 2, 3}},
		{From: 3, To: 9, Units: []int{4}}}
	require.Equal(t, 3, seating.MaxUnits(seats, 0, 3))
	require.Equal(t, 4, seating.MaxUnits(seats, 0, 4))
	require.Equal(t, 1, seating.MaxUnits(seats, 4, 20))
	require.Zero(t, seating.MaxUnits(seats, 9, 20))
}
