package calendar

import (
	"bytes"
	"fmt"
	"net/mail"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	ics "github.com/arran4/golang-ical"

	"github.com/booking-platform/booking-platform/booking"
)

// ContentType is what calendar files are served as.
const ContentType = "text/calendar; charset=utf-8"

// statuses is what a calendar calls the status of a booking. One that is not here has no
// event.
var statuses = map[booking.Status]ics.ObjectStatus{
	booking.StatusPending: ics.ObjectStatusTentative, booking.StatusConfirmed: ics.ObjectStatusConfirmed,
	booking.StatusCompleted: ics.ObjectStatusConfirmed,
	booking.StatusNoShow:    ics.ObjectStatusConfirmed, booking.StatusCancelled: ics.ObjectStatusCancelled,
}

func newCalendar() *ics.Calendar {
	cal := ics.NewCalendar()
	cal.SetProductId("-//booking-platform//booking-platform//EN")
	cal.SetCalscale("GREGORIAN")
	return cal
}

// newEvent adds what a booking's event has for customers and staff alike.
func newEvent(cal *ics.Calendar, domain string, b booking.Booking) *ics.VEvent {
	event := cal.AddEvent(b.ID + "@" + domain)
	event.SetDtStampTime(b.UpdatedAt)
	event.SetCreatedTime(b.CreatedAt)
	event.SetModifiedAt(b.UpdatedAt)
	event.SetSequence(b.Sequence)
	event.SetStatus(statuses[b.Status])
	event.SetStartAt(b.Start)
	event.SetEndAt(b.End)
	return event
}

func write(cal *ics.Calendar) ([]byte, error) {
	var out bytes.Buffer
	// Its default line end depends on the system it runs on.
	if err := cal.SerializeTo(&out, ics.WithNewLineWindows); err != nil {
		return nil, fmt.Errorf("calendar: %w", err)
	}
	return out.Bytes(), nil
}

// check refuses what would write a wrong file.
func check(domain string, r booking.Resource, b booking.Booking) error {
	if domain == "" || len(domain) > 253 || strings.Contains(domain, "@") || !isWord(domain) {
		return fmt.Errorf("calendar: the domain is no host name: %q", domain)
	}
	if b.ResourceID != r.ID {
		return fmt.Errorf("calendar: booking %s is of another resource", b.ID)
	}
	return nil
}

// isLink accepts an absolute address, which is written as it is, or none.
func isLink(s string) bool {
	if s == "" {
		return true
	}
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && isWord(s)
}

// isAddress accepts a bare e-mail address, which is written as it is, or none.
func isAddress(s string) bool {
	if s == "" {
		return true
	}
	parsed, err := mail.ParseAddress(s)
	return err == nil && parsed.Name == "" && parsed.Address == s && isWord(s)
}

// isWord tells whether all of s can be seen. golang-ical escapes text alone: anything
// else must not have what ends a line.
func isWord(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s,
		func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) })
}
