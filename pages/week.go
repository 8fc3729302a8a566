package pages

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// daysShown is how many days are side by side.
const daysShown = 7

// maxNumbers is how many parties have a link of their own; larger ones are typed.
const maxNumbers = 10

// ask is what a visitor looks for; links to the page say it in their query.
type ask struct {
	resource, offer string
	party           int
	from            booking.Date
}

func (a ask) link() string {
	query := url.Values{"resource": {a.resource}, "from": {a.from.String()}}
	if a.offer != "" {
		query.Set("offer", a.offer)
	}
	if a.party > 1 {
		query.Set("party", strconv.Itoa(a.party))
	}
	return "/?" + query.Encode()
}

// choice is one of several links; the chosen one is where the visitor is.
type choice struct {
	Text, Link string
	Chosen     bool
}

// week is seven days side by side. Earlier and Later are links.
type week struct {
	Days           []dayView
	Earlier, Later string
	// Free tells that a day has something; where none has, Next is a link to the first
	// that has, and Sees its time.
	Free       bool
	Next, Sees string
}

// firstDay reads the first day that is shown: the one that was asked for, or today,
// within what can be booked.
func firstDay(text string, today, last booking.Date) booking.Date {
	day, err := booking.ParseDate(text)
	if err != nil || day.Before(today) || last.Before(day) {
		return today
	}
	return day
}

// newWeek puts slots under the days that begin with first. link gives the address of the
// week from a day on.
func newWeek(slots []booking.Slot, zone *time.Location, first, today, last booking.Date, capacity int, chosen time.Time,
	link func(booking.Date) string) week {
	w := week{Days: byDay(slots, zone, first, capacity, chosen)}
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

// pointOn finds the next free time for a week that has none.
func (p *Pages) pointOn(ctx context.Context, w *week, ask booking.NextSlotRequest, zone *time.Location,
	link func(booking.Date) string) error {
	if w.Free {
		return nil
	}
	slot, err := p.opts.Bookings.NextSlot(ctx, ask)
	if errors.Is(err, booking.ErrNoSlot) {
		return nil
	}
	if err != nil {
		return err
	}
	w.Next, w.Sees = link(booking.DateOf(slot.Start.In(zone))), moment(slot.Start, zone)
	return nil
}

// span is the stretch of time that the days from first on are.
func span(first booking.Date, zone *time.Location) (from, to time.Time) {
	from, _ = first.At(0, zone)
	to, _ = first.AddDays(daysShown).At(0, zone)
	return from, to
}

// bounds are the first and the last day on which a resource can be booked.
func bounds(r booking.Resource, zone *time.Location, now time.Time) (today, last booking.Date) {
	return booking.DateOf(now.In(zone)), booking.DateOf(now.Add(r.Horizon).In(zone))
}
