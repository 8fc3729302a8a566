package calendar

import (
	"fmt"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// FeedOptions are what [Feed] can do without; the zero value works.
type FeedOptions struct {
	// Refresh is how often calendar programs should ask again, in whole minutes; 0 stands
	// for 15. They ask as often as they like.
	Refresh time.Duration
}

// Feed writes bookings of one resource for staff: the calendar is named after the
// resource, and each event after the customer and the offer, with the party in brackets
// where more than one come. Its description has the party, the status and the reference.
// Expired holds are left out; so should be holds whose time has passed, as
// [booking.Store.Feed] does. The order is that of the bookings. An event takes some 500
// bytes, and at most some 6 KB where names and references are as long as can be.
//
// The domain is as in [File]. An error is the caller's: a domain or an option that is not
// what it should be, a booking of another resource.
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

// who is whom staff expect.
func who(b booking.Booking) string {
	if b.Kind == booking.KindBlock {
		return fmt.Sprintf("Blocked (%d)", b.Party)
	}
	name := strings.TrimSpace(b.Customer.FirstName + " " + b.Customer.LastName)
	if name == "" {
		name = "Booking"
	}
	if b.Party > 1 {
		name += fmt.Sprintf(" (%d)", b.Party)
	}
	return name
}

// about is what else staff want to know.
func about(b booking.Booking) string {
	heads := "Party"
	if b.Kind == booking.KindBlock {
		heads = "Units"
	}
	text := fmt.Sprintf("%s: %d\nStatus: %s", heads, b.Party, strings.ReplaceAll(string(b.Status), "_", " "))
	if b.Reference != "" {
		text += "\nReference: " + b.Reference
	}
	return text
}
