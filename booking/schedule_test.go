package booking_test

import (
	"archive/zip"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/booking-platform/booking-platform/booking"
)

// daily is in minutes of the wall clock.
func daily(opens, closes int) []booking.Hours {
	var hours []booking.Hours
	for weekday := time.Sunday; weekday <= time.Saturday; weekday++ {
		hours = append(hours, booking.Hours{Weekday: weekday, Opens: opens, Closes: closes})
	}
	return hours
}

// Each case lists the starts of one local day, as RFC 3339 without the date.
func TestStarts_DaysOfClockChanges(t *testing.T) {
	t.Parallel()
	hour, half := time.Hour, 30*time.Minute
	tests := map[string]struct {
		zone         string
		date         string
		length, step time.Duration
		hours        []booking.Hours
		want         []string
	}{
		"an ordinary day": {"Europe/Paris", "2027-03-15", hour, 0, daily(0, 240), []string{
			"00:00:00+01:00", "01:00:00+01:00", "02:00:00+01:00", "03:00:00+01:00",
		}},
		"Paris, skipped hour": {"Europe/Paris", "2027-03-28", hour, 0, daily(0, 300), []string{
			"00:00:00+01:00", "01:00:00+01:00", "03:00:00+02:00", "04:00:00+02:00",
		}},
		"Paris, repeated hour": {"Europe/Paris", "2027-10-31", hour, 0, daily(0, 240), []string{
			"00:00:00+02:00", "01:00:00+02:00", "02:00:00+02:00", "02:00:00+01:00", "03:00:00+01:00",
		}},
		"Paris, always open, skipped hour": {"Europe/Paris", "2027-03-28", 4 * hour, 0, nil, []string{
			"00:00:00+01:00", "04:00:00+02:00", "08:00:00+02:00", "12:00:00+02:00", "16:00:00+02:00", "20:00:00+02:00",
		}},
		"Paris, closing in the skipped hour": {"Europe/Paris", "2027-03-28", hour, half, daily(0, 150), []string{
			// 1:30 would last until 3:30 by the wall clock, after closing time.
			"00:00:00+01:00", "00:30:00+01:00", "01:00:00+01:00",
		}},
		"Paris, opening in the skipped hour": {"Europe/Paris", "2027-03-28", hour, 0, daily(150, 360), []string{
			"03:30:00+02:00", "04:30:00+02:00",
		}},
		"Paris, closing in the repeated hour": {"Europe/Paris", "2027-10-31", half, 0, daily(60, 150), []string{
			"01:00:00+02:00", "01:30:00+02:00", "02:00:00+02:00", "02:00:00+01:00",
		}},
		"Paris, closed during the repeated hour": {"Europe/Paris", "2027-10-31", 2 * hour, half,
			daily(0, 150), []string{
				// 1:30 would last until the second 2:30, through the closed half hour
				// after the first.
				"00:00:00+02:00", "00:30:00+02:00",
			}},
		"New York, skipped hour": {"America/New_York", "2027-03-14", hour, 0, daily(60, 300), []string{
			"01:00:00-05:00", "03:00:00-04:00", "04:00:00-04:00",
		}},
		"New York, repeated hour": {"America/New_York", "2027-11-07", hour, 0, daily(60, 180), []string{
			"01:00:00-04:00", "01:00:00-05:00", "02:00:00-05:00",
		}},
		"Lord Howe, skipped half hour": {"Australia/Lord_Howe", "2027-10-03", half, 0, daily(60, 240),
			[]string{
				"01:00:00+10:30", "01:30:00+10:30", "02:30:00+11:00", "03:00:00+11:00", "03:30:00+11:00",
			}},
		"Lord Howe, full hours are not shifted": {"Australia/Lord_Howe", "2027-10-03", hour, 0, daily(60, 300),
			[]string{
				// 1:00 lasts until 2:30 by the wall clock, 2:00 does not exist.
				"01:00:00+10:30", "03:00:00+11:00", "04:00:00+11:00",
			}},
		"Lord Howe, repeated half hour": {"Australia/Lord_Howe", "2027-04-04", half, 0, daily(60, 180),
			[]string{
				"01:00:00+11:00", "01:30:00+11:00", "01:30:00+10:30", "02:00:00+10:30", "02:30:00+10:30",
			}},
		"Kathmandu, a quarter past": {"Asia/Kathmandu", "2027-05-05", hour, 0, daily(600, 720), []string{
			"10:00:00+05:45", "11:00:00+05:45",
		}},
		"Casablanca, repeated hour before Ramadan": {"Africa/Casablanca", "2025-02-23", hour, 0,
			daily(60, 240), []string{
				"01:00:00+01:00", "02:00:00+01:00", "02:00:00+00:00", "03:00:00+00:00",
			}},
		"Casablanca, in Ramadan": {"Africa/Casablanca", "2025-03-10", hour, 0, daily(60, 180),
			[]string{"01:00:00+00:00", "02:00:00+00:00"}},
		"Casablanca, skipped hour after Ramadan": {"Africa/Casablanca", "2025-04-06", hour, 0,
			daily(60, 300), []string{
				"01:00:00+00:00", "03:00:00+01:00", "04:00:00+01:00",
			}},
		"Apia, the day before": {"Pacific/Apia", "2011-12-29", 12 * hour, 0, nil,
			[]string{"00:00:00-10:00", "12:00:00-10:00"}},
		"Apia, the day after": {"Pacific/Apia", "2011-12-31", 12 * hour, 0, nil,
			[]string{"00:00:00+14:00", "12:00:00+14:00"}},
		"year's end": {"America/New_York", "2027-12-31", hour, 0, daily(1380, 1500),
			[]string{"00:00:00-05:00", "23:00:00-05:00"}},
		"Apia, skipped day": {"Pacific/Apia", "2011-12-30", hour, 0, nil, nil},
		"across midnight": {"Europe/Paris", "2027-05-05", hour, 0, daily(1320, 1560), []string{
			"00:00:00+02:00", "01:00:00+02:00", "22:00:00+02:00", "23:00:00+02:00",
		}},
		"across midnight into the skipped hour": {"Europe/Paris", "2027-03-28", hour, 0, daily(1320, 1680), []string{
			"00:00:00+01:00", "01:00:00+01:00", "03:00:00+02:00", "22:00:00+02:00", "23:00:00+02:00",
		}},
		"two intervals": {"Europe/Paris", "2027-05-05", hour, 0, append(daily(540, 660), daily(780, 840)...), []string{
			"09:00:00+02:00", "10:00:00+02:00", "13:00:00+02:00",
		}},
		"closed that weekday": {
			"Europe/Paris", "2027-05-05", hour, 0, []booking.Hours{{Weekday: time.Thursday, Opens: 540, Closes: 660}},
			nil,
		},
		"half a step too short": {"Europe/Paris", "2027-05-05", hour, 45 * time.Minute, daily(540, 660), []string{
			"09:00:00+02:00", "09:45:00+02:00",
		}},
		"leap day": {"Europe/Paris", "2028-02-29", 12 * hour, 0, nil, []string{"00:00:00+01:00", "12:00:00+01:00"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zone, err := time.LoadLocation(test.zone)
			require.NoError(t, err)
			date, err := time.Parse(time.DateOnly, test.date)
			require.NoError(t, err)
			resource := booking.Resource{TimeZone: test.zone, SlotLength: test.length, SlotStep: test.step,
				Hours: test.hours}
			rules, err := booking.RulesOf(resource)
			require.NoError(t, err)
			var got []string
			// Wide enough for any zone; other days are filtered.
			for start := range rules.Starts(date.Add(-48*time.Hour), date.Add(72*time.Hour)) {
				if local := start.In(zone); local.Format(time.DateOnly) == test.date {
					got = append(got, local.Format("15:04:05-07:00"))
				}
			}
			require.Equal(t, test.want, got)
		})
	}
}

// A year at once, day by day, or a single instant.
func TestStarts_IndependentOfRange(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca",
		"UTC"} {
		resource := booking.Resource{TimeZone: zone, SlotLength: 50 * time.Minute, SlotStep: 40 * time.Minute,
			Hours: daily(1200, 1700)}
		from := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
		rules, err := booking.RulesOf(resource)
		require.NoError(t, err)
		year := slices.Collect(rules.Starts(from, from.AddDate(1, 0, 0)))
		require.True(t, slices.IsSortedFunc(year, time.Time.Compare))
		var pieces []time.Time
		for n := range 120 {
			piece := from.Add(time.Duration(n) * 73 * time.Hour)
			pieces = slices.AppendSeq(pieces, rules.Starts(piece, piece.Add(73*time.Hour)))
		}
		require.Equal(t, year, pieces)
	}
}

// offered is the rule in its simplest form, in every minute of the slot.
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

// Both agree with the simple rule, on days on which clocks change.
func TestStarts_ListedAndAcceptedAgree(t *testing.T) {
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
				t.Fatalf("%s: expected %t, listed %t, accepted %t, off the minute %t", at.In(zone), want,
					listed[at], accepted, between)
			}
		}
	})
}

// M30: Names that only some systems know are refused everywhere.
func TestLoadZone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Europe/Paris", "UTC", "Etc/GMT+3", "America/Argentina/Buenos_Aires", "US/Eastern",
		"Asia/Calcutta"} {
		zone, err := booking.LoadZone(name)
		require.NoError(t, err)
		require.Equal(t, name, zone.String())
	}
	for _, name := range []string{
		"", "Local", "local", "localtime", "posixrules", "Factory", "right/UTC", "right/Europe/Paris",
		"posix/Europe/Paris",
		"europe/paris", "EUROPE/PARIS", "Europe/paris", "Europe/Paris ", " Europe/Paris", "Europe/Paris\n",
		"/Europe/Paris",
		"Europe//Paris", "Europe/./Paris", "Europe/../Europe/Paris", "../zoneinfo/Europe/Paris", "Europe", "Europe/",
		"leapseconds",
		"zone.tab", "tzdata.zi", "+01:00", "CEST", "UTC+1", "Nowhere/City", strings.Repeat("a", 5000),
		"Europe/Paris\x00",
	} {
		_, err := booking.LoadZone(name)
		require.Error(t, err, name)
		err = booking.Resource{Slug: "court", Name: "Court", TimeZone: name, SlotLength: time.Hour,
			Price: booking.Money{Currency: "eur"}}.Validate()
		var refused *booking.ValidationError
		require.ErrorAs(t, err, &refused, name)
		require.Contains(t, refused.Fields, "timeZone", name)
	}
}

func TestLoadZone_ListIsComplete(t *testing.T) {
	t.Parallel()
	root, err := osexec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	require.NoError(t, err)
	archive, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	require.NoError(t, err)
	defer func() { _ = archive.Close() }()
	var names []string
	for _, f := range archive.File {
		if !strings.HasSuffix(f.Name, "/") && f.Name != "Factory" {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	listed := strings.Fields(booking.ZoneNames)
	slices.Sort(listed)
	require.Equal(t, names, listed, "booking/zones.txt has the names of lib/time/zoneinfo.zip, without Factory")
}
