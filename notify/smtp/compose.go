package smtp

import (
	"bytes"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"unicode"

	gomail "github.com/wneessen/go-mail"
	"golang.org/x/net/idna"

	"github.com/booking-platform/booking-platform/notify"
)

// compose makes the MIME message: the texts and the calendar object are alternatives of
// each other, as mail programs expect of invitations, and files are attached.
func (s *Sender) compose(m notify.Mail) (*gomail.Msg, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(s.from)
	to, err := ascii(m.To)
	if err != nil {
		return nil, err
	}
	msg.ToMailAddress(&mail.Address{Name: m.ToName, Address: to})
	if m.ReplyTo != "" {
		replyTo, err := ascii(m.ReplyTo)
		if err != nil {
			return nil, err
		}
		// A server without SMTPUTF8 can refuse the mail for an address that is not ASCII.
		if isASCII(replyTo) {
			msg.ReplyToMailAddress(&mail.Address{Address: replyTo})
		}
	}
	msg.Subject(m.Subject)
	msg.SetDate()
	if m.MessageID != "" {
		msg.SetMessageIDWithValue(strings.Trim(m.MessageID, "<>"))
	}
	// Out-of-office programs do not answer such mails (RFC 3834).
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	if m.Language != "" {
		msg.SetGenHeader(gomail.HeaderContentLang, m.Language)
	}
	for name, value := range m.Headers {
		msg.SetGenHeader(gomail.Header(name), value)
	}
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	if m.Calendar != nil {
		// The parameter must be the METHOD of the object, or Gmail and Outlook show a file.
		kind := gomail.ContentType("text/calendar; method=" + m.CalendarMethod)
		msg.AddAlternativeString(kind, string(m.Calendar))
	}
	for _, a := range m.Attachments {
		err := msg.AttachReader(a.Name, bytes.NewReader(a.Content),
			gomail.WithFileContentType(gomail.ContentType(a.ContentType)))
		if err != nil {
			return nil, fmt.Errorf("attach %s: %w", a.Name, err)
		}
	}
	return msg, nil
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

// ascii returns an address with its domain in Punycode, which every server accepts. A local
// part that is not ASCII needs a server with SMTPUTF8.
func ascii(address string) (string, error) {
	parsed, err := mail.ParseAddress(address) // Without the quotes of a local part.
	if err != nil {
		return "", errors.New("it is no e-mail address")
	}
	local, domain, _ := cutLast(parsed.Address, "@")
	domain, err = idna.Lookup.ToASCII(domain)
	if err != nil {
		return "", errors.New("its domain is malformed")
	}
	return local + "@" + domain, nil
}
