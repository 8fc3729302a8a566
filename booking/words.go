package booking

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// durationWords writes a duration as people say it: "14d", "1h30m", "0s". A day is 24
// hours.
func durationWords(d time.Duration) string {
	if d < 0 {
		return "-" + durationWords(-d)
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

// String writes the interval as a wall clock shows it: "9:00-12:30", and "22:00-2:00" for
// one that ends the next day. A whole day from midnight is "0:00-24:00".
func (i Interval) String() string {
	closes := i.Closes
	if closes > 1440 {
		closes -= 1440
	}
	return fmt.Sprintf("%d:%02d-%d:%02d", i.Opens/60, i.Opens%60, closes/60, closes%60)
}

// ParseInterval reads what [Interval.String] writes. An interval that closes no later
// than it opens closes the next day: "9:00-9:00" are 24 hours.
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

// clockTime reads a time of day such as 9:00 or 24:00 as minutes.
func clockTime(text string) (int, bool) {
	hour, minute, ok := strings.Cut(strings.TrimSpace(text), ":")
	h, hourOK := digits(hour, 1, 2)
	m, minuteOK := digits(minute, 2, 2)
	if !ok || !hourOK || !minuteOK || m > 59 || h*60+m > 1440 {
		return 0, false
	}
	return h*60 + m, true
}

// digits reads a number of at least and at most so many digits.
func digits(text string, least, most int) (int, bool) {
	if len(text) < least || len(text) > most || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}
