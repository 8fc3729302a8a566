package calendar

import (
	"fmt"

	ics "github.com/arran4/golang-ical"

	"github.com/booking-platform/booking-platform/booking"
)

// FileOptions are what [File] can do without; the zero value works.
type FileOptions struct {
	// Link is where the booking is seen: an absolute http or https address, or "".
	// Customers forward files: an address with an owner token lets all who get the file
	// cancel the booking.
	Link string
	// Organizer is the e-mail address of who offers the resource, or "". RFC 5546 asks
	// for one; calendar programs do not.
	Organizer string
}

// NoFileError tells that a booking has no file for its customer: it is a hold that is not
// confirmed, or a block.
type NoFileError struct {
	// ID is the booking's.
	ID string
	// Kind and Status are why.
	Kind   booking.Kind
	Status booking.Status
}

// Error names the booking, its kind and its status.
func (e *NoFileError) Error() string {
	return fmt.Sprintf("calendar: the %s %s is %s and has no file", e.Kind, e.ID, e.Status)
}

// File writes one booking for its customer. Its event is named after the resource and the
// offer, and described as the resource is. The domain ends the event's UID: a host name
// of the caller's, which must never change, or files written before and after are two
// events.
//
// A [*NoFileError] tells that the booking has no file. Other errors are the caller's: a
// domain or an option that is not what it should be, a booking of another resource.
func File(domain string, r booking.Resource, b booking.Booking, opts FileOptions) ([]byte, error) {
	if b.Kind == booking.KindBlock || statuses[b.Status] == "" || b.Status == booking.StatusPending {
		return nil, &NoFileError{ID: b.ID, Kind: b.Kind, Status: b.Status}
	}
	if err := check(domain, r, b); err != nil {
		return nil, err
	}
	if !isLink(opts.Link) {
		return nil, fmt.Errorf("calendar: the link is no absolute address: %q", opts.Link)
	}
	if !isAddress(opts.Organizer) {
		return nil, fmt.Errorf("calendar: the organizer is no e-mail address: %q", opts.Organizer)
	}
	cal := newCalendar()
	cal.SetMethod(ics.MethodPublish)
	event := newEvent(cal, domain, b)
	event.SetSummary(line(withOffer(r.Name, r, b)))
	if text := lines(r.Description); text != "" {
		event.SetDescription(text)
	}
	if opts.Link != "" {
		event.SetURL(opts.Link)
	}
	if opts.Organizer != "" {
		event.SetOrganizer(opts.Organizer)
	}
	return write(cal)
}

// withOffer adds the name of the offer a booking was sold as; its slug where the resource
// no longer has it.
func withOffer(name string, r booking.Resource, b booking.Booking) string {
	if b.Offer == "" {
		return name
	}
	for _, o := range r.Offers {
		if o.Slug == b.Offer {
			return name + " – " + o.Name
		}
	}
	return name + " – " + b.Offer
}
