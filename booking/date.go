package booking

import (
	"fmt"
	"time"
)

// Date is a day of the calendar, in the zone of the resource it belongs to.
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

// DateOf is the day that t shows, in the zone t is in.
func DateOf(t time.Time) Date {
	year, month, day := t.Date()
	return Date{Year: year, Month: month, Day: day}
}

// String writes the date as 2026-12-24.
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day) }

// MarshalText writes the date as 2026-12-24.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (d *Date) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDate(string(text))
	return err
}

// AddDays returns the date n days later by the calendar, or earlier where n is negative.
func (d Date) AddDays(n int) Date {
	return DateOf(time.Date(d.Year, d.Month, d.Day+n, 0, 0, 0, 0, time.UTC))
}

// Before tells whether d is an earlier day than other.
func (d Date) Before(other Date) bool { return d.midnight() < other.midnight() }

// At returns the instant, in zone, at which the wall clock shows that many minutes after
// midnight of the date; 1440 and more are minutes of the following days. Of a time that
// comes twice, because clocks are put back, it is the first. A time that does not exist,
// because clocks are put forward over it, answers false and the instant at which they
// are.
//
// d.At(0, zone) is therefore the beginning of the day in every zone, also where midnight
// is skipped. Use At wherever a date becomes an instant: time.Date answers a time of the
// day before where midnight does not exist.
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

// midnight is the beginning of the day as a wall clock shows it, counted in seconds as if
// the zone were UTC.
func (d Date) midnight() int64 {
	return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC).Unix()
}

// exists tells whether the calendar has this day, in the years that JSON and a calendar
// can write.
func (d Date) exists() bool {
	if d.Year < 1970 || d.Year > 9998 {
		return false
	}
	return DateOf(time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC)) == d
}
