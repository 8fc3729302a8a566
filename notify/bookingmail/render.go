package bookingmail

import (
	"bytes"
	"cmp"
	_ "embed" // The templates.
	"fmt"
	htmltemplate "html/template"
	"strconv"
	"strings"
	texttemplate "text/template"
	"unicode"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/booking/calendar"
	"github.com/booking-platform/booking-platform/locale"
	"github.com/booking-platform/booking-platform/notify"
	"github.com/booking-platform/booking-platform/payments"
)

//go:embed mail.html
var htmlSource string

//go:embed mail.txt
var textSource string

var (
	htmlTemplate = htmltemplate.Must(htmltemplate.New("mail").Parse(htmlSource))
	textTemplate = texttemplate.Must(texttemplate.New("mail").Parse(textSource))
)

// document is what both templates show.
type document struct {
	Language, Title string
	Hello           string
	Lead            string
	Rows            []row
	Sentences       []string
	Button, Link    string
	Keep            string
	Seller, Footer  string

	locale locale.Locale
}

// Line is a line of the text: French has a space before the colon.
func (d document) Line(label, value string) string { return d.locale.T("%s: %s", label, value) }

type row struct{ Label, Value string }

// Render makes a mail with the texts of package locale: text and HTML from one source,
// without pictures, scripts, or addresses other than the customer's link.
func Render(c Content) (notify.Mail, error) {
	l := locale.Of(c.Language)
	what := oneLine(c.Resource.Name)
	if offer := offerName(c.Resource, c.Booking.Offer); offer != "" {
		what += " – " + offer
	}
	at := what + ", " + l.Moment(c.Booking.Start, c.Zone)
	d := document{Language: l.Tag(), Seller: oneLine(c.Seller), Link: c.Link, locale: l}
	if c.ToOwner {
		d.Title, d.Lead = ownerLead(l, c.Topic, at), ownerLead(l, c.Topic, what)
	} else {
		d.Title, d.Lead = subject(l, c.Topic, at), lead(l, c.Topic, what)
		d.Hello = hello(l, c.Booking.Customer.FirstName)
		d.Button = l.T("Your booking")
		d.Keep = l.T("This link is yours alone: with it the booking can be seen, moved and cancelled. " +
			"Do not forward this mail.")
		d.Footer = l.T("You receive this mail because of a booking made with this address.")
	}
	d.Rows = rows(l, c, what)
	d.Sentences = sentences(l, c)
	return c.mail(d)
}

func (c Content) mail(d document) (notify.Mail, error) {
	var text, html bytes.Buffer
	if err := textTemplate.Execute(&text, d); err != nil {
		return notify.Mail{}, fmt.Errorf("bookingmail: text: %w", err)
	}
	if err := htmlTemplate.Execute(&html, d); err != nil {
		return notify.Mail{}, fmt.Errorf("bookingmail: html: %w", err)
	}
	m := notify.Mail{To: c.To, ReplyTo: c.ReplyTo, Subject: short(d.Title), Language: d.Language, Text: text.String(),
		HTML: html.String(), Calendar: c.Calendar, CalendarMethod: c.CalendarMethod}
	if !c.ToOwner {
		if name := c.Booking.Customer; isName(name.FirstName) && (name.LastName == "" || isName(name.LastName)) {
			m.ToName = oneLine(name.FirstName + " " + name.LastName)
		}
	}
	if c.Calendar != nil {
		// Programs that do not look at alternatives have the file.
		m.Attachments = []notify.Attachment{{Name: "booking.ics", Content: c.Calendar,
			ContentType: strings.Replace(calendar.ContentType, "text/calendar", "application/ics", 1)}}
	}
	return m, nil
}

func rows(l locale.Locale, c Content, what string) (all []row) {
	b := c.Booking
	add := func(label, value string) {
		if value != "" {
			all = append(all, row{label, oneLine(value)})
		}
	}
	add(l.T("What"), what)
	add(l.T("When"), l.Span(b.Start, b.End, c.Zone))
	if !c.From.IsZero() {
		add(l.T("Before"), l.Span(c.From, c.From.Add(b.End.Sub(b.Start)), c.Zone))
	}
	if b.Party > 1 {
		add(l.T("People"), strconv.Itoa(b.Party))
	}
	if c.ToOwner {
		add(l.T("Customer"), b.Customer.FirstName+" "+b.Customer.LastName+" <"+b.Customer.Email+">")
		add(l.T("Phone"), b.Customer.Phone)
		add(l.T("Note"), b.Note)
	}
	add(l.T("Total"), l.Price(b.Amount))
	switch {
	case c.Refund != nil:
		add(l.T("Refund"), l.Money(c.Refund.Amount))
	case c.Topic == TopicCancelled:
		if b.Refund != nil && !c.disputed() {
			add(l.T("Refund"), l.Money(*b.Refund))
		}
	case c.Payment != nil:
		add(l.T("Received"), l.Money(c.Payment.Captured))
		add(l.T("Reason"), reason(l, *c.Payment))
	}
	add(l.T("Booking"), cmp.Or(b.Number, b.ID))
	return all
}

func sentences(l locale.Locale, c Content) (all []string) {
	say := func(text string) { all = append(all, text) }
	b := c.Booking
	switch c.Topic {
	case TopicConfirmed, TopicMoved, TopicReminder:
		if !c.ToOwner {
			say(l.Terms(b, c.Zone, c.Now))
		}
	case TopicCancelled:
		if text := cancelled(l, c); text != "" {
			say(text)
		}
	case TopicRefunded:
		switch {
		case c.Refund == nil || c.ToOwner:
		case c.Refund.ByHand:
			say(l.T("%s is paid back to you.", l.Money(c.Refund.Amount)))
		default:
			// The mail about the cancellation has said that it goes back.
			say(l.T("We have refunded %s. It usually arrives within 5 to 10 working days.", l.Money(c.Refund.Amount)))
		}
	case TopicRefundFailed:
		if c.Refund != nil {
			say(l.T("The refund of %s failed. It has to be paid in another way.", l.Money(c.Refund.Amount)))
		}
	case TopicParked:
		if !c.ToOwner {
			say(l.T("You need not pay again. We write to you as soon as it is decided."))
		}
	case TopicUnapplied:
		if c.Payment != nil {
			say(back(l, c.Payment.Captured))
		}
	case TopicLink:
		if b.Status == booking.StatusPending {
			say(l.T("It is not confirmed yet: the payment has not arrived."))
		}
	}
	switch c.CalendarMethod {
	case "REQUEST":
		say(l.T("The attached file puts the time into your calendar."))
	case "CANCEL":
		say(l.T("The attached file removes the time from your calendar."))
	}
	if c.Topic == TopicReminder || c.Topic == TopicConfirmed && !c.ToOwner {
		say(l.T("We look forward to seeing you."))
	}
	return all
}

// disputed reports whether a bank looks into the payment, or has decided for the customer.
func (c Content) disputed() bool {
	return c.Payment != nil && (c.Payment.OpenDisputes > 0 || c.Payment.Lost.Minor > 0)
}

// cancelled says what goes back for a cancelled booking, and how, or "".
func cancelled(l locale.Locale, c Content) string {
	refund := c.Booking.Refund
	switch {
	case refund == nil || refund.Minor == 0:
		if c.Booking.Amount.Minor == 0 {
			return ""
		}
		return l.T("Nothing is paid back.")
	case c.disputed() && c.ToOwner:
		return ""
	case c.disputed():
		return contested(l, *c.Payment, *refund)
	case c.Payment != nil && c.Payment.Kind != payments.KindDesk:
		return back(l, *refund)
	case c.ToOwner:
		return l.T("%s has to be paid back by hand.", l.Money(*refund))
	}
	return l.T("%s is paid back to you.", l.Money(*refund))
}

// contested says how a dispute changes a refund.
func contested(l locale.Locale, p payments.Payment, refund booking.Money) string {
	switch back := p.GoesBack(refund); {
	case p.OpenDisputes > 0:
		return l.T("Your bank is looking into this payment: nothing is refunded until that is decided.")
	case back.Minor > 0:
		return l.T("Your bank has already returned %s to you, and %s is refunded by us.", l.Money(p.Lost), l.Money(back))
	}
	return l.T("Your bank has already returned %s to you: nothing more is refunded.", l.Money(p.Lost))
}

// back says how money goes back by Stripe.
func back(l locale.Locale, m booking.Money) string {
	return l.T("%s goes back to the means of payment that was used. It usually arrives within 5 to 10 working days.",
		l.Money(m))
}

func offerName(r booking.Resource, slug string) string {
	for _, o := range r.Offers {
		if o.Slug == slug && slug != "" {
			return oneLine(o.Name)
		}
	}
	return oneLine(slug)
}

// oneLine returns a text without line breaks and other control characters.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' }), " ")
}

const maxSubject = 150

func short(s string) string {
	if runes := []rune(s); len(runes) > maxSubject {
		return string(runes[:maxSubject-1]) + "…"
	}
	return s
}
