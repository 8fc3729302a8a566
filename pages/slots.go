package pages

import (
	"fmt"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// dayView is one day and what is free on it.
type dayView struct {
	// Weekday and Date are its title.
	Weekday, Date string
	Slots         []slotView
}

// slotView is one choice. Left says how many heads it has room for, where that is worth
// saying.
type slotView struct {
	Value, Time, Left string
	Checked           bool
}

// byDay puts slots, which come in order, under the days from first on by their date in a
// zone, and marks the one that was chosen. A clock that shows the same time twice, when
// it is put back, has its offset beside it.
func byDay(slots []booking.Slot, zone *time.Location, first booking.Date, capacity int, chosen time.Time) []dayView {
	days := make([]dayView, daysShown)
	place := map[booking.Date]int{}
	for i := range days {
		date := first.AddDays(i)
		place[date] = i
		title, _ := date.At(0, time.UTC)
		days[i] = dayView{Weekday: title.Format("Monday"), Date: title.Format("2 January")}
	}
	seen := map[string]int{}
	for _, s := range slots {
		seen[s.Start.In(zone).Format("2006-01-02 15:04")]++
	}
	for _, s := range slots {
		start := s.Start.In(zone)
		i, shown := place[booking.DateOf(start)]
		if !shown {
			continue
		}
		v := slotView{Value: start.Format(time.RFC3339), Time: start.Format("15:04"), Checked: start.Equal(chosen)}
		if seen[start.Format("2006-01-02 15:04")] > 1 {
			v.Time = start.Format("15:04 MST")
		}
		if capacity > 1 {
			v.Left = fmt.Sprintf("%d left", s.Remaining)
		}
		days[i].Slots = append(days[i].Slots, v)
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
