package booking_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/booking-platform/booking-platform/booking"
)

type stay struct {
	from, to time.Time
	heads    int
}

// changesOf returns when the number of units changes, and by how many.
func changesOf(stays []stay) ([]time.Time, []int) {
	changes := map[time.Time]int{}
	for _, s := range stays {
		changes[s.from] += s.heads
		changes[s.to] -= s.heads
	}
	at := slices.SortedFunc(maps.Keys(changes), time.Time.Compare)
	at = slices.DeleteFunc(at, func(t time.Time) bool { return changes[t] == 0 })
	var heads []int
	for _, t := range at {
		heads = append(heads, changes[t])
	}
	return at, heads
}

// Compared second by second, buffers included.
func TestOccupancy_RemainingAtTheBusiestSecond(t *testing.T) {
	t.Parallel()
	from := date(2027, 5, 3)
	rapid.Check(t, func(t *rapid.T) {
		minutes := func(least, most int, what string) time.Duration {
			return time.Duration(rapid.IntRange(least, most).Draw(t, what)) * time.Minute
		}
		r := booking.Resource{
			TimeZone: "Europe/Paris", Capacity: rapid.IntRange(1, 6).Draw(t, "capacity"),
			SlotLength: minutes(1, 90, "length"), SlotStep: minutes(1, 40, "step"),
			BufferBefore: minutes(0, 30, "before"), BufferAfter: minutes(0, 30, "after"),
		}
		rules, err := booking.RulesOf(r)
		require.NoError(t, err)
		var stays []stay
		for range rapid.IntRange(0, 12).Draw(t, "stays") {
			begins := from.Add(minutes(-200, 500,
				"begins")).Add(time.Duration(rapid.IntRange(0, 1).Draw(t, "odd")) * time.Microsecond)
			// More units than the capacity are not its concern.
			stays = append(stays, stay{begins, begins.Add(minutes(1, 200, "lasts")),
				rapid.IntRange(1, 2).Draw(t, "heads")})
		}
		at, heads := changesOf(stays)
		party := rapid.IntRange(1, r.Capacity).Draw(t, "party")
		to := from.Add(8 * time.Hour)
		var want []booking.Slot
		for start := range rules.Starts(from, to) {
			begins, ends := start.Add(-r.BufferBefore), start.Add(r.SlotLength+r.BufferAfter)
			most := 0
			for now := begins; now.Before(ends); {
				there, next := 0, ends
				for _, s := range stays {
					if !now.Before(s.from) && now.Before(s.to) {
						there += s.heads
					}
					for _, change := range []time.Time{s.from, s.to} {
						if change.After(now) && change.Before(next) {
							next = change
						}
					}
				}
				most, now = max(most, there), next
			}
			if r.Capacity-most >= party {
				want = append(want, booking.Slot{Start: start, End: start.Add(r.SlotLength),
					Remaining: r.Capacity - most})
			}
		}
		got := rules.Free(from, to, from.Add(-time.Hour), party, booking.Changes(at, heads))
		require.Equal(t, want, append([]booking.Slot(nil), got...))
	})
}
