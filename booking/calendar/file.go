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

// FileOptions configure [File]; the zero value works.
type FileOptions struct {
	// Link is the booking's page: an absolute http or https URL, or "". Customers forward
	// files: with an owner token in it, every recipient can cancel the booking.
	Link string
	// Organizer is the seller's e-mail address, or "". RFC 5546 requires one, programs do
	// not.
	Organizer string
}

// NoFileError means that a booking has no file: it is a hold, expired, or a block.
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
// The error is a [*NoFileError], or an invalid domain or option, or a booking of another
// resource.
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

// A resource may no longer have the offer; its slug then stands for the name.
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

// ContentType is the media type of calendar files.
const ContentType = "text/calendar; charset=utf-8"

// statuses lists those with an event.
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

// newEvent adds what customers and staff both see.
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

// isLink accepts "" and an http or https URL, which is written unescaped.
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

// isWord excludes line ends and spaces: golang-ical escapes only text.
func isWord(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s,
		func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) })
}

// lineBreaks are what programs may read as the end of a line. golang-ical escapes \n
// only; a lone \r would let a name add lines to the file.
var lineBreaks = strings.NewReplacer(
	"\r\n", "\n", "\r", "\n", "\v", "\n", "\f", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n",
)

// lines is in valid UTF-8, on which folding depends.
func lines(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, lineBreaks.Replace(s))
}

func line(s string) string { return strings.ReplaceAll(lines(s), "\n", " ") }
