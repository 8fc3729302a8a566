package booking_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/booking-platform/booking-platform/booking"
)

// offered is the rule in its plainest form: what the clock on the wall shows at the
// instant, and in the last second of every minute of the slot.
func offered(r booking.Resource, zone *time.Location, start time.Time) bool {
	wall := func(t time.Time) (midnight time.Time, seconds int) {
		local := t.In(zone)
		y, m, d := local.Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC), local.Hour()*3600 + local.Minute()*60 + local.Second()
	}
	date, seconds := wall(start)
	step := int(r.SlotStep / time.Second)
	if len(r.Hours) == 0 {
		return seconds%step == 0
	}
	for _, h := range r.Hours {
		// The interval may have begun today or yesterday.
		for back := range 2 {
			opened := date.AddDate(0, 0, -back)
			begins := seconds + back*86400
			if opened.Weekday() != h.Weekday || begins < h.Opens*60 || begins >= h.Closes*60 ||
				(begins-h.Opens*60)%step != 0 {
				continue
			}
			inTime := true
			for at := time.Minute; at <= r.SlotLength && inTime; at += time.Minute {
				endDate, endSeconds := wall(start.Add(at - time.Second))
				inTime = endSeconds+int(endDate.Sub(opened)/time.Second) < h.Closes*60
			}
			if inTime {
				return true
			}
		}
	}
	return false
}

func date(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

func drawResource(t *rapid.T) booking.Resource {
	step := time.Duration(rapid.IntRange(1, 300).Draw(t, "step")) * time.Minute
	r := booking.Resource{
		TimeZone: rapid.SampledFrom([]string{
			"Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu",
			"America/Santiago", "UTC",
		}).Draw(t, "zone"),
		SlotStep:   step,
		SlotLength: time.Duration(rapid.IntRange(1, 400).Draw(t, "length")) * time.Minute,
	}
	for weekday := range 7 {
		if rapid.Bool().Draw(t, "open") {
			opens := rapid.IntRange(0, 1439).Draw(t, "opens")
			hours := append(r.Hours, booking.Hours{
				Weekday: time.Weekday(weekday), Opens: opens, Closes: opens + rapid.IntRange(1, 1440).Draw(t, "for"),
			})
			if booking.HoursProblem(hours) == "" {
				r.Hours = hours
			}
		}
	}
	return r
}

// Every slot that is offered is accepted by a hold, and no other: both follow the plain
// rule, minute by minute, over the days on which clocks change.
func TestOfferedIsAccepted(t *testing.T) {
	t.Parallel()
	changes := []time.Time{
		date(2027, 2, 6), date(2027, 3, 13), date(2027, 3, 27), date(2027, 4, 3), date(2027, 9, 4), date(2027, 10, 2),
		date(2027, 10, 30), date(2027, 11, 6), date(2027, 12, 31),
	}
	rapid.Check(t, func(t *rapid.T) {
		r := drawResource(t)
		zone, err := time.LoadLocation(r.TimeZone)
		require.NoError(t, err)
		from := rapid.SampledFrom(changes).Draw(t, "around")
		to := from.Add(60 * time.Hour)
		rules, err := booking.RulesOf(r)
		require.NoError(t, err)
		listed := map[time.Time]bool{}
		last := time.Time{}
		for start := range rules.Starts(from, to) {
			require.True(t, start.After(last) && !start.Before(from) && start.Before(to), "in order, within the range")
			listed[start], last = true, start
		}
		off := time.Duration(rapid.IntRange(1, int(time.Minute)-1).Draw(t, "off"))
		for at := from; at.Before(to); at = at.Add(time.Minute) {
			want := offered(r, zone, at)
			accepted, between := rules.IsStart(at), rules.IsStart(at.Add(off))
			if want != listed[at] || want != accepted || between {
				t.Fatalf("%s: by the rule %t, listed %t, accepted %t, and a little later %t", at.In(zone), want,
					listed[at], accepted, between)
			}
		}
	})
}
