package pages

import (
	"fmt"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// The page shows the first few days on which something is free, and looks for them in the next few weeks.
const (
	daysShown  = 5
	daysLooked = 21
)

// dayView is one day on which something is free.
type dayView struct {
	Title string
	Slots []slotView
	date  string
}

// slotView is one choice. Left says how many heads it has room for, where that is worth saying.
type slotView struct {
	Value, Time, Left string
	Checked           bool
}

// byDay groups slots, which come in order, by their day in a zone, and marks the one that was chosen. A clock that shows the same time
// twice, when it is put back, has its offset beside it.
func byDay(slots []booking.Slot, zone *time.Location, capacity int, chosen time.Time) []dayView {
	var days []dayView
	seen := map[string]int{}
	for _, s := range slots {
		seen[s.Start.In(zone).Format("2006-01-02 15:04")]++
	}
	for _, s := range slots {
		start := s.Start.In(zone)
		if date := start.Format(time.DateOnly); len(days) == 0 || days[len(days)-1].date != date {
			days = append(days, dayView{Title: start.Format("Monday, 2 January"), date: date})
		}
		v := slotView{Value: start.Format(time.RFC3339), Time: start.Format("15:04"), Checked: start.Equal(chosen)}
		if seen[start.Format("2006-01-02 15:04")] > 1 {
			v.Time = start.Format("15:04 MST")
		}
		if capacity > 1 {
			v.Left = fmt.Sprintf("%d left", s.Remaining)
		}
		day := &days[len(days)-1]
		day.Slots = append(day.Slots, v)
	}
	return days
}

// when writes the time of a booking for people, in the resource's zone with its name.
func when(b booking.Booking, zone *time.Location) string {
	start, end := b.Start.In(zone), b.End.In(zone)
	layout := "15:04"
	if start.Format(time.DateOnly) != end.Format(time.DateOnly) {
		layout = "Monday, 2 January 2006, 15:04"
	}
	return start.Format("Monday, 2 January 2006, 15:04") + " to " + end.Format(layout) + " (" + zone.String() + ")"
}

// length writes how long a slot is for people.
func length(d time.Duration) string {
	switch {
	case d%(24*time.Hour) == 0:
		return plural(int(d/(24*time.Hour)), "day")
	case d%time.Hour == 0:
		return plural(int(d/time.Hour), "hour")
	}
	return plural(int(d/time.Minute), "minute")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
