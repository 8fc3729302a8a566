package calendar

import (
	"fmt"

	ics "github.com/arran4/golang-ical"

	"github.com/booking-platform/booking-platform/booking"
)

// FileOptions configure [File]; the zero value works.
type FileOptions struct {
	// Link is the booking's page: an absolute http or https URL, or "". Customers forward
	// files: with an owner token in the link, every recipient can cancel the booking.
	Link string
	// Organizer is the seller's e-mail address, or "". RFC 5546 requires one; calendar
	// programs do not.
	Organizer string
}

// NoFileError means that a booking has no file for its customer, because it is a hold or
// a block.
type NoFileError struct {
	ID     string
	Kind   booking.Kind
	Status booking.Status
}

func (e *NoFileError) Error() string {
	return fmt.Sprintf("calendar: the %s %s is %s and has no file", e.Kind, e.ID, e.Status)
}

// File formats one booking for its customer. The event is named after the resource and
// the offer, with the resource's description. The domain, a host name of the caller's,
// ends the event's UID and must never change, or later files add second events.
//
// The error is a [*NoFileError] if the booking has no file. Other errors are an invalid
// domain or option, and a booking of another resource.
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

// withOffer adds the name of the booking's offer, or its slug if the resource no longer
// has it.
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
