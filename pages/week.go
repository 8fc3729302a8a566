package pages

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"strconv"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/locale"
)

const daysShown = 7

// maxNumbers is the largest party with a link; larger ones are typed.
const maxNumbers = 10

// weekQuery is the query of the booking page.
type weekQuery struct {
	resource, offer string
	party           int
	from            booking.Date
	// own names a booking of the visitor, see ownLink.
	own url.Values
}

func (a weekQuery) link() string {
	query := url.Values{"resource": {a.resource}, "from": {a.from.String()}}
	if a.offer != "" {
		query.Set("offer", a.offer)
	}
	if a.party > 1 {
		query.Set("party", strconv.Itoa(a.party))
	}
	maps.Copy(query, a.own)
	return "/?" + query.Encode()
}

// choice is a link; the chosen one is the current page.
type choice struct {
	Text, Link string
	Chosen     bool
}

// week is the free slots of seven days. Earlier and Later are links.
type week struct {
	locale.Locale
	Days           []dayView
	Earlier, Later string
	// Free reports whether there is a slot. If not, Next is the link to the first one
	// after the week, and NextTime its time.
	Free           bool
	Next, NextTime string
}

// firstDay parses the first day; it is today if the text is not a bookable day.
func firstDay(text string, today, last booking.Date) booking.Date {
	day, err := booking.ParseDate(text)
	if err != nil || day.Before(today) || last.Before(day) {
		return today
	}
	return day
}

// newWeek groups slots by day. link returns the address of the week that begins on a day.
func newWeek(l locale.Locale, slots []booking.Slot, zone *time.Location, first, today, last booking.Date, capacity int,
	chosen time.Time, link func(booking.Date) string) week {
	w := week{Locale: l, Days: byDay(l, slots, zone, first, capacity, chosen)}
	for _, day := range w.Days {
		w.Free = w.Free || len(day.Slots) > 0
	}
	if next := first.AddDays(daysShown); !last.Before(next) {
		w.Later = link(next)
	}
	if today.Before(first) {
		earlier := first.AddDays(-daysShown)
		if earlier.Before(today) {
			earlier = today
		}
		w.Earlier = link(earlier)
	}
	return w
}

// nextAvailable sets the next free slot of a week without one.
func (p *Pages) nextAvailable(ctx context.Context, l locale.Locale, w *week, req booking.NextSlotRequest,
	zone *time.Location, link func(booking.Date) string) error {
	if w.Free {
		return nil
	}
	slot, err := p.deps.Bookings.NextSlot(ctx, req)
	if errors.Is(err, booking.ErrNoSlot) {
		return nil
	}
	if err != nil {
		return err
	}
	w.Next, w.NextTime = link(booking.DateOf(slot.Start.In(zone))), l.Moment(slot.Start, zone)
	return nil
}

// span is the time from the first day to the end of the last one.
func span(first booking.Date, zone *time.Location) (from, to time.Time) {
	from, _ = first.At(0, zone)
	to, _ = first.AddDays(daysShown).At(0, zone)
	return from, to
}

// bounds returns the first and last bookable day.
func bounds(r booking.Resource, zone *time.Location, now time.Time) (today, last booking.Date) {
	return booking.DateOf(now.In(zone)), booking.DateOf(now.Add(r.Horizon).In(zone))
}

type dayView struct {
	Weekday, Date string
	Slots         []slotView
}

// slotView is a free slot. Left is the free capacity, if that is more than one.
type slotView struct {
	Value, Time, Left string
	Checked           bool
}

// byDay groups slots by their date in a zone and marks the chosen one. A local time that
// occurs twice, when clocks are put back, has its zone abbreviation.
func byDay(l locale.Locale, slots []booking.Slot, zone *time.Location, first booking.Date, capacity int,
	chosen time.Time) []dayView {
	days := make([]dayView, daysShown)
	index := map[booking.Date]int{}
	for i := range days {
		date := first.AddDays(i)
		index[date] = i
		title, _ := date.At(0, time.UTC)
		days[i] = dayView{Weekday: l.Weekday(title), Date: l.DayMonth(title)}
	}
	seen := map[string]int{}
	for _, s := range slots {
		seen[s.Start.In(zone).Format("2006-01-02 15:04")]++
	}
	for _, s := range slots {
		start := s.Start.In(zone)
		i, shown := index[booking.DateOf(start)]
		if !shown {
			continue
		}
		v := slotView{Value: start.Format(time.RFC3339), Time: start.Format("15:04"), Checked: start.Equal(chosen)}
		if seen[start.Format("2006-01-02 15:04")] > 1 {
			v.Time = start.Format("15:04 MST")
		}
		if capacity > 1 {
			v.Left = l.N(s.Remaining, "%d left", "%d left")
		}
		days[i].Slots = append(days[i].Slots, v)
	}
	return days
}
