package calendar

import (
	"errors"
	"fmt"
	"strings"

	ics "github.com/arran4/golang-ical"

	"github.com/booking-platform/booking-platform/booking"
)

// InvitationOptions configure [Invitation]. Organizer and Attendee are required.
type InvitationOptions struct {
	// Organizer is the sender's e-mail address, OrganizerName its name or "".
	Organizer, OrganizerName string
	// Attendee is the customer's e-mail address. Gmail shows no event if it is the
	// organizer's.
	Attendee string
	// Link is the booking's page, or "". The mail goes to the customer alone, so it may have
	// an owner token; a forwarded invitation then gives it away.
	Link string
}

// Invitation is [File] for a mail. method is its METHOD, which the part of the mail must
// name too: REQUEST adds the event or replaces an older one, and CANCEL removes it. UID and
// SEQUENCE are those of File, so that both are the same event.
//
// The customer takes part already and is asked for no answer: an answer would go to the
// organizer and change nothing here.
func Invitation(domain string, r booking.Resource, b booking.Booking, opts InvitationOptions) (file []byte,
	method string, err error) {
	if b.Kind == booking.KindBlock || statuses[b.Status] == "" || b.Status == booking.StatusPending {
		return nil, "", &NoFileError{ID: b.ID, Kind: b.Kind, Status: b.Status}
	}
	if err := check(domain, r, b); err != nil {
		return nil, "", err
	}
	if !isLink(opts.Link) {
		return nil, "", fmt.Errorf("calendar: the link is no absolute address: %q", opts.Link)
	}
	if opts.Organizer == "" || opts.Attendee == "" || !isAddress(opts.Organizer) || !isAddress(opts.Attendee) {
		return nil, "", errors.New("calendar: the organizer or the attendee is no e-mail address")
	}
	kind := ics.MethodRequest
	if b.Status == booking.StatusCancelled {
		kind = ics.MethodCancel
	}
	cal := newCalendar()
	cal.SetMethod(kind)
	event := newEvent(cal, domain, b)
	event.SetSummary(line(withOffer(r.Name, r, b)))
	if text := lines(r.Description); text != "" {
		event.SetDescription(text)
	}
	if opts.Link != "" {
		event.SetURL(opts.Link)
	}
	organizer := []ics.PropertyParameter{}
	if name := parameter(opts.OrganizerName); name != "" {
		organizer = append(organizer, ics.WithCN(name))
	}
	event.SetOrganizer("mailto:"+opts.Organizer, organizer...)
	event.AddAttendee(opts.Attendee, ics.CalendarUserTypeIndividual, ics.ParticipationRoleReqParticipant,
		ics.ParticipationStatusAccepted, &ics.KeyValues{Key: "RSVP", Value: []string{"FALSE"}})
	file, err = write(cal)
	return file, string(kind), err
}

// parameterText replaces what golang-ical writes wrongly into the value of a parameter: it
// escapes, and RFC 5545 has quotes there.
var parameterText = strings.NewReplacer(`"`, "", `\`, "", "^", "", "'", "’", ";", " ", ":", " ", ",", " ")

// parameter returns a text for a parameter.
func parameter(s string) string {
	return strings.Join(strings.Fields(parameterText.Replace(line(s))), " ")
}
