package bookingmail

import (
	"bytes"
	_ "embed" // The templates.
	"fmt"
	htmltemplate "html/template"
	"strconv"
	"strings"
	texttemplate "text/template"
	"time"
	"unicode"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/booking/calendar"
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
}

type row struct{ Label, Value string }

// Render makes a mail with the texts of this package: text and HTML from one source,
// without pictures, scripts, or addresses other than the customer's link.
func Render(c Content) (notify.Mail, error) {
	l, found := languageOf(c.Language)
	if !found {
		return notify.Mail{}, fmt.Errorf("bookingmail: there are no texts in the language %q", c.Language)
	}
	what := oneLine(c.Resource.Name)
	if offer := offerName(c.Resource, c.Booking.Offer); offer != "" {
		what += " – " + offer
	}
	d := document{Language: l.tag, Seller: oneLine(c.Seller), Link: c.Link}
	if c.ToOwner {
		d.Title = fmt.Sprintf(l.owner[c.Topic], what+", "+l.date(l, c.Booking.Start.In(c.Zone)))
		d.Lead = fmt.Sprintf(l.owner[c.Topic], what)
	} else {
		d.Title = fmt.Sprintf(l.subject[c.Topic], what+", "+l.date(l, c.Booking.Start.In(c.Zone)))
		d.Hello = hello(l, c.Booking.Customer.FirstName)
		d.Lead = fmt.Sprintf(l.lead[c.Topic], what)
		d.Button, d.Keep, d.Footer = l.button, l.keep, l.footer
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
		m.ToName = oneLine(c.Booking.Customer.FirstName + " " + c.Booking.Customer.LastName)
	}
	if c.Calendar != nil {
		// Programs that do not look at alternatives have the file.
		m.Attachments = []notify.Attachment{{Name: "booking.ics", Content: c.Calendar,
			ContentType: strings.Replace(calendar.ContentType, "text/calendar", "application/ics", 1)}}
	}
	return m, nil
}

func rows(l language, c Content, what string) (all []row) {
	b := c.Booking
	add := func(label, value string) {
		if value != "" {
			all = append(all, row{label, oneLine(value)})
		}
	}
	add(l.labelWhat, what)
	add(l.labelWhen, l.span(b.Start, b.End, c.Zone))
	if !c.From.IsZero() {
		add(l.labelBefore, l.span(c.From, c.From.Add(b.End.Sub(b.Start)), c.Zone))
	}
	if b.Party > 1 {
		add(l.labelParty, strconv.Itoa(b.Party))
	}
	if c.ToOwner {
		add(l.labelCustomer, b.Customer.FirstName+" "+b.Customer.LastName+" <"+b.Customer.Email+">")
		add(l.labelPhone, b.Customer.Phone)
		add(l.labelNote, b.Note)
	}
	if b.Amount.Minor == 0 {
		add(l.labelTotal, l.free)
	} else {
		add(l.labelTotal, l.money(b.Amount))
	}
	switch {
	case c.Refund != nil:
		add(l.labelRefund, l.money(c.Refund.Amount))
	case c.Topic == TopicCancelled && b.Refund != nil:
		add(l.labelRefund, l.money(*b.Refund))
	case c.Payment != nil:
		add(l.labelReceived, l.money(c.Payment.Captured))
		add(l.labelReason, l.reason(*c.Payment))
	}
	add(l.labelNumber, b.ID)
	return all
}

// reason is why money does not pay for the booking.
func (l language) reason(p payments.Payment) string {
	reason := p.ParkedReason
	if reason == "" {
		reason = p.Unapplied
	}
	return map[string]string{payments.ReasonLate: l.reasonLate, payments.ReasonPaidTwice: l.reasonTwice,
		payments.ReasonCancelled: l.reasonCancelled, payments.ReasonAmount: l.reasonAmountDiffer}[reason]
}

func sentences(l language, c Content) (all []string) {
	say := func(text string) { all = append(all, text) }
	b := c.Booking
	byHand := c.Payment != nil && c.Payment.Kind == payments.KindDesk
	switch c.Topic {
	case TopicConfirmed, TopicMoved, TopicReminder:
		if !c.ToOwner {
			say(l.terms(b, c.Zone, c.Now))
		}
	case TopicCancelled:
		switch {
		case b.Refund != nil && b.Refund.Minor > 0:
			say(fmt.Sprintf(l.refundComes, l.money(*b.Refund)))
		case b.Amount.Minor > 0:
			say(l.noRefund)
		}
	case TopicRefunded:
		if c.Refund != nil && !c.ToOwner {
			if byHand || c.Refund.ByHand {
				say(fmt.Sprintf(l.refundDesk, l.money(c.Refund.Amount)))
			} else {
				say(fmt.Sprintf(l.refundComes, l.money(c.Refund.Amount)))
			}
		}
	case TopicRefundFailed:
		if c.Refund != nil {
			say(fmt.Sprintf(l.refundProblem, l.money(c.Refund.Amount)))
		}
	case TopicParked:
		if !c.ToOwner {
			say(l.checking)
		}
	case TopicUnapplied:
		if c.Payment != nil {
			say(fmt.Sprintf(l.goesBack, l.money(c.Payment.Captured)))
		}
	}
	switch c.CalendarMethod {
	case "REQUEST":
		say(l.calendar)
	case "CANCEL":
		say(l.calendarOff)
	}
	if c.Topic == TopicReminder || c.Topic == TopicConfirmed && !c.ToOwner {
		say(l.soon)
	}
	return all
}

// terms describes until when the customer may cancel, at what fee.
func (l language) terms(b booking.Booking, zone *time.Location, at time.Time) string {
	t := b.Terms(at)
	moment := func(t time.Time) string { return l.date(l, t.In(zone)) }
	later := b.Terms(t.FreeUntil)
	switch {
	case t.Until.IsZero():
		return l.neverChange
	case !t.Allowed:
		return l.changeTooLate
	case b.Amount.Minor == 0:
		return fmt.Sprintf(l.changeUntil, moment(t.Until))
	case t.Refund != b.Amount:
		return fmt.Sprintf(l.changeFeeUntil, moment(t.Until), l.money(t.Fee), l.money(b.Amount))
	case later.Allowed:
		return fmt.Sprintf(l.changeFreeThenFee, moment(t.FreeUntil), moment(t.Until), l.money(later.Fee),
			l.money(b.Amount))
	}
	return fmt.Sprintf(l.changeFree, moment(t.FreeUntil))
}

const maxName = 40

// hello greets by name, unless the name looks like an advertisement: anyone can book with
// the address of another person.
func hello(l language, name string) string {
	name = oneLine(name)
	if name == "" || len([]rune(name)) > maxName || strings.ContainsAny(name, ":/.@<>!?$€£0123456789") {
		return l.hello
	}
	return fmt.Sprintf(l.helloName, name)
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
