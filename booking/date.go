package booking

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	// For systems without a zone database, or that lack a name.
	_ "time/tzdata"
)

// Date is a calendar day, in the zone of the resource it belongs to.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// ParseDate reads a date such as 2026-12-24.
func ParseDate(text string) (Date, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return Date{}, fmt.Errorf("booking: %q is not a date such as 2026-12-24", text)
	}
	return DateOf(t), nil
}

// DateOf returns the day of t in t's zone.
func DateOf(t time.Time) Date {
	year, month, day := t.Date()
	return Date{Year: year, Month: month, Day: day}
}

// String formats the date as 2026-12-24.
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day) }

// MarshalText formats the date as 2026-12-24.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText parses the format of MarshalText.
func (d *Date) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDate(string(text))
	return err
}

// AddDays takes a negative n, too.
func (d Date) AddDays(n int) Date {
	return DateOf(time.Date(d.Year, d.Month, d.Day+n, 0, 0, 0, 0, time.UTC))
}

// Before reports whether d is earlier than other.
func (d Date) Before(other Date) bool { return d.midnight() < other.midnight() }

// At returns the instant in zone at which the wall clock shows that many minutes after
// midnight; 1440 and more are on the following days. If the time occurs twice, it is the
// first. If clocks are set forward over it, At returns false and the instant of the
// change.
//
// So d.At(0, zone) is the beginning of the day, even where midnight is skipped; time.Date
// returns a time of the day before then.
func (d Date) At(minute int, zone *time.Location) (at time.Time, exists bool) {
	wall := d.midnight() + int64(minute)*60
	// No offset is as large as two days.
	for begin := time.Unix(wall-2*daySeconds, 0).In(zone); ; {
		_, end := begin.ZoneBounds()
		_, zoneOffset := begin.Zone()
		offset := int64(zoneOffset)
		if end.IsZero() || wall < wallClock(end, offset) {
			if begin.Unix()+offset > wall {
				return begin, false
			}
			return time.Unix(wall-offset, 0).In(zone), true
		}
		begin = end.In(zone)
	}
}

// midnight is in wall-clock seconds, as if the zone were UTC.
func (d Date) midnight() int64 {
	return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC).Unix()
}

// exists is also false for years that JSON and iCalendar cannot represent.
func (d Date) exists() bool {
	if d.Year < 1970 || d.Year > 9998 {
		return false
	}
	return DateOf(time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC)) == d
}

// zoneNames are those of Go's zone database without Factory. Others, such as localtime,
// posix/… and right/…, differ between machines.
//
//go:embed zones.txt
var zoneNames string

var knownZones = sync.OnceValue(func() map[string]bool {
	known := map[string]bool{}
	for name := range strings.Lines(zoneNames) {
		known[strings.TrimSpace(name)] = true
	}
	return known
})

// LoadZone returns an IANA time zone of Go's zone database, so that all replicas accept
// the same names. The rules are the system's if it has them, else those linked into the
// program.
func LoadZone(name string) (*time.Location, error) {
	if !knownZones()[name] {
		return nil, fmt.Errorf("booking: %.100q is not an IANA time zone", name)
	}
	return time.LoadLocation(name)
}

// Zone returns the resource's time zone; for errors see [LoadZone].
func (r Resource) Zone() (*time.Location, error) { return LoadZone(r.TimeZone) }

// formatDuration returns "14d", "1h30m" or "0s". A day is 24 hours.
func formatDuration(d time.Duration) string {
	if d < 0 {
		return "-" + formatDuration(-d)
	}
	out := ""
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{day, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := d / unit.length; n > 0 {
			out += strconv.FormatInt(int64(n), 10) + unit.name
			d %= unit.length
		}
	}
	if out == "" {
		return "0s"
	}
	return out
}

// String returns "9:00-12:30". An interval that ends the next day is "22:00-2:00", a
// whole day from midnight "0:00-24:00".
func (i Interval) String() string {
	closes := i.Closes
	if closes > 1440 {
		closes -= 1440
	}
	return fmt.Sprintf("%d:%02d-%d:%02d", i.Opens/60, i.Opens%60, closes/60, closes%60)
}

// ParseInterval parses [Interval.String]'s format. What closes no later than it opens
// closes the next day: "9:00-9:00" is 24 hours.
func ParseInterval(text string) (Interval, error) {
	opens, closes, ok := strings.Cut(text, "-")
	from, fromOK := clockTime(opens)
	to, toOK := clockTime(closes)
	if !ok || !fromOK || !toOK || from == 1440 {
		return Interval{}, fmt.Errorf("booking: %q are not opening hours such as 9:00-12:30", text)
	}
	if to <= from {
		to += 1440
	}
	return Interval{Opens: from, Closes: to}, nil
}

// clockTime returns minutes of a time such as 9:00 or 24:00.
func clockTime(text string) (int, bool) {
	hour, minute, ok := strings.Cut(strings.TrimSpace(text), ":")
	h, hourOK := digits(hour, 1, 2)
	m, minuteOK := digits(minute, 2, 2)
	if !ok || !hourOK || !minuteOK || m > 59 || h*60+m > 1440 {
		return 0, false
	}
	return h*60 + m, true
}

func digits(text string, least, most int) (int, bool) {
	if len(text) < least || len(text) > most || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}
