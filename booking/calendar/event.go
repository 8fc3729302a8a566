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

// ContentType is the media type of calendar files.
const ContentType = "text/calendar; charset=utf-8"

// statuses maps statuses to those of iCalendar. Bookings with other statuses have no
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

// newEvent adds an event with what customers and staff both see.
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
	// The default line end depends on the operating system.
	if err := cal.SerializeTo(&out, ics.WithNewLineWindows); err != nil {
		return nil, fmt.Errorf("calendar: %w", err)
	}
	return out.Bytes(), nil
}

func check(domain string, r booking.Resource, b booking.Booking) error {
	if domain == "" || len(domain) > 253 || strings.Contains(domain, "@") || !isWord(domain) {
		return fmt.Errorf("calendar: the domain is no host name: %q", domain)
	}
	if b.ResourceID != r.ID {
		return fmt.Errorf("calendar: booking %s is of another resource", b.ID)
	}
	return nil
}

// isLink accepts "" and an absolute http or https URL, which is written unescaped.
func isLink(s string) bool {
	if s == "" {
		return true
	}
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && isWord(s)
}

// isAddress accepts "" and a bare e-mail address, which is written unescaped.
func isAddress(s string) bool {
	if s == "" {
		return true
	}
	parsed, err := mail.ParseAddress(s)
	return err == nil && parsed.Name == "" && parsed.Address == s && isWord(s)
}

// isWord reports whether s is printable without spaces. golang-ical escapes only text;
// other values must not contain the end of a line.
func isWord(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s,
		func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) })
}
