package booking_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
)

// M25.
func TestDate_At(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		zone, date string
		minute     int
		want       string
		skipped    bool
	}{
		"winter":                       {"Europe/Paris", "2026-12-01", 600, "2026-12-01T10:00:00+01:00", false},
		"summer":                       {"Europe/Paris", "2026-07-01", 600, "2026-07-01T10:00:00+02:00", false},
		"before the change back":       {"Europe/Paris", "2026-10-25", 119, "2026-10-25T01:59:00+02:00", false},
		"repeated hour: the first":     {"Europe/Paris", "2026-10-25", 150, "2026-10-25T02:30:00+02:00", false},
		"after the change back":        {"Europe/Paris", "2026-10-25", 180, "2026-10-25T03:00:00+01:00", false},
		"skipped":                      {"Europe/Paris", "2027-03-28", 150, "2027-03-28T03:00:00+02:00", true},
		"first after the skipped hour": {"Europe/Paris", "2027-03-28", 180, "2027-03-28T03:00:00+02:00", false},
		"half an hour, repeated": {"Australia/Lord_Howe", "2026-04-05", 105, "2026-04-05T01:45:00+11:00",
			false},
		"half an hour, skipped": {"Australia/Lord_Howe", "2026-10-04", 135, "2026-10-04T02:30:00+11:00",
			true},
		"the morning after the change": {"Europe/Paris", "2026-10-26", 150, "2026-10-26T02:30:00+01:00", false},
		"midnight is skipped":          {"America/Santiago", "2027-09-05", 0, "2027-09-05T01:00:00-03:00", true},
		"the last hour before that":    {"America/Santiago", "2027-09-04", 1380, "2027-09-04T23:00:00-04:00", false},
		"the last hour is repeated":    {"America/Santiago", "2027-04-03", 1380, "2027-04-03T23:00:00-03:00", false},
		"the midnight after that":      {"America/Santiago", "2027-04-04", 0, "2027-04-04T00:00:00-04:00", false},
		"midnight is repeated":         {"America/Havana", "2026-11-01", 0, "2026-11-01T00:00:00-04:00", false},
		"midnight is skipped in Cairo": {"Africa/Cairo", "2026-04-24", 0, "2026-04-24T01:00:00+03:00", true},
		"minutes of the next day": {"Europe/Paris", "2026-10-24", 1440 + 180, "2026-10-25T03:00:00+01:00",
			false},
		"a whole day is skipped":          {"Pacific/Apia", "2011-12-30", 720, "2011-12-31T00:00:00+14:00", true},
		"UTC":                             {"UTC", "1970-01-01", 0, "1970-01-01T00:00:00Z", false},
		"before the first known offset":   {"Europe/Paris", "0001-01-01", 0, "0001-01-01T00:00:00+00:09", false},
		"after the last rule of the zone": {"Europe/Paris", "9998-07-01", 0, "9998-07-01T00:00:00+02:00", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zone, err := booking.LoadZone(c.zone)
			require.NoError(t, err)
			date, err := booking.ParseDate(c.date)
			require.NoError(t, err)
			at, exists := date.At(c.minute, zone)
			require.Equal(t, c.want, at.Format(time.RFC3339))
			require.Equal(t, c.skipped, !exists)
		})
	}
}

// M25: In every zone and around every change of clocks from 2024 to 2030, Date.At agrees
// with a table made by reading the wall clock every quarter of an hour.
func TestDate_AtEveryChangeOfClocks(t *testing.T) {
	t.Parallel()
	const quarter = 15 * time.Minute
	checked, skippedMidnights := 0, 0
	for name := range strings.Lines(booking.ZoneNames) {
		zone, err := booking.LoadZone(strings.TrimSpace(name))
		require.NoError(t, err)
		for _, change := range clockChanges(zone) {
			type clock struct {
				date   booking.Date
				minute int
			}
			first := map[clock]time.Time{}
			for at := change.Add(-60 * time.Hour); at.Before(change.Add(60 * time.Hour)); at = at.Add(quarter) {
				local := at.In(zone)
				shown := clock{booking.DateOf(local), local.Hour()*60 + local.Minute()}
				if first[shown].IsZero() {
					first[shown] = at
				}
			}
			for days := -1; days <= 1; days++ {
				date := booking.DateOf(change.In(zone)).AddDays(days)
				for minute := 0; minute < 1440; minute += 15 {
					at, exists := date.At(minute, zone)
					want, shown := first[clock{date, minute}]
					if shown != exists {
						t.Fatalf("%s %v %d: exists is %t, want %t", zone, date, minute, exists, shown)
					}
					if !shown {
						// Every change of these years skips local times once.
						want = change
						if minute == 0 {
							skippedMidnights++
						}
					}
					if !want.Equal(at) {
						t.Fatalf("%s %v %d is %s, want %s", zone, date, minute, at, want)
					}
					checked++
				}
			}
		}
	}
	require.Greater(t, checked, 100_000)
	require.Greater(t, skippedMidnights, 20, "some midnights do not exist")
}

// clockChanges finds the changes of a zone's offset from 2024 to 2030 by bisection.
func clockChanges(zone *time.Location) (changes []time.Time) {
	offset := func(second int64) int {
		_, offset := time.Unix(second, 0).In(zone).Zone()
		return offset
	}
	const step = 24 * 3600
	end := time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	for from := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Unix(); from < end; from += step {
		low, high := from, from+step
		if offset(low) == offset(high) {
			continue
		}
		for high-low > 1 {
			if middle := (low + high) / 2; offset(middle) == offset(low) {
				low = middle
			} else {
				high = middle
			}
		}
		changes = append(changes, time.Unix(high, 0))
	}
	return changes
}
