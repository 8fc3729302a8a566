package calendar

import (
	"fmt"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// FeedOptions configure [Feed]; the zero value works.
type FeedOptions struct {
	// Refresh asks calendar programs to reload, in whole minutes; 0 means 15. They may
	// ignore it.
	Refresh time.Duration
}

// Feed formats bookings of one resource for staff, in the given order. The calendar is
// named after the resource, an event after the customer and the offer, with the party in
// brackets if it is more than one. The description has the party, the status, the phone
// number, the reference and the customer's note. Expired holds are left out; pass none
// that are not yet released, as [booking.Store.Feed] does. An event takes about 500
// bytes, at most about 15 KB.
//
// For domain see [File]. The errors are an invalid domain or option, and a booking of
// another resource.
func Feed(domain string, r booking.Resource, bookings []booking.Booking, opts FeedOptions) ([]byte, error) {
	if opts.Refresh == 0 {
		opts.Refresh = 15 * time.Minute
	}
	if opts.Refresh < time.Minute {
		return nil, fmt.Errorf("calendar: a feed cannot be read again after %s", opts.Refresh)
	}
	cal := newCalendar()
	cal.SetName(line(r.Name))
	refresh := fmt.Sprintf("PT%dM", opts.Refresh/time.Minute)
	cal.SetRefreshInterval(refresh)
	cal.SetXPublishedTTL(refresh)
	for _, b := range bookings {
		if err := check(domain, r, b); err != nil {
			return nil, err
		}
		if statuses[b.Status] == "" {
			continue
		}
		event := newEvent(cal, domain, b)
		event.SetSummary(line(withOffer(who(b), r, b)))
		event.SetDescription(lines(about(b)))
	}
	return write(cal)
}

func who(b booking.Booking) string {
	if b.Kind == booking.KindBlock {
		return fmt.Sprintf("Blocked (%d)", b.Party)
	}
	name := strings.TrimSpace(b.Customer.Name())
	if name == "" {
		name = "Booking"
	}
	if b.Party > 1 {
		name += fmt.Sprintf(" (%d)", b.Party)
	}
	return name
}

func about(b booking.Booking) string {
	heads := "Party"
	if b.Kind == booking.KindBlock {
		heads = "Units"
	}
	text := fmt.Sprintf("%s: %d\nStatus: %s", heads, b.Party, strings.ReplaceAll(string(b.Status), "_", " "))
	for _, more := range []struct{ name, value string }{
		{"Phone", b.Customer.Phone}, {"Reference", b.Reference}, {"Note", b.Note},
	} {
		if more.value != "" {
			text += "\n" + more.name + ": " + more.value
		}
	}
	return text
}
