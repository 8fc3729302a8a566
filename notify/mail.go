package notify

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"net/textproto"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Mail is one composed message.
type Mail struct {
	// MessageID is set by the store.
	MessageID string
	// To is an address without a name, ToName the name or "". An empty To is the message's
	// Recipient.
	To, ToName string
	// ReplyTo is an address without a name, or "".
	ReplyTo string
	Subject string
	// Language is that of the texts, such as "fr", or "".
	Language string
	// Text is required, HTML may be empty.
	Text, HTML string
	// Calendar is an iCalendar object that mail programs offer to add, move or remove, or
	// nil. CalendarMethod is its METHOD, such as REQUEST.
	Calendar       []byte
	CalendarMethod string
	Attachments    []Attachment
	// Headers are further header fields by name, such as List-Unsubscribe.
	Headers map[string]string
}

// Attachment is a file.
type Attachment struct {
	Name, ContentType string
	Content           []byte
}

// Sender hands a mail over, to a mail server or to a queue of the embedder's. It is used
// by several goroutines at once.
//
// Send returns nil once it is certain that the mail is accepted, and an error otherwise:
// [ErrRefused] if it will never be accepted, [ErrUnavailable] if no mail can be sent now,
// [ErrUncertain] if it may have been accepted, and any other for a failure of this mail
// that may pass. The text of an error is stored, so it must have no address and no secret.
// The end of ctx must end Send.
type Sender interface {
	Send(ctx context.Context, m Mail) error
}

var (
	// ErrRefused means that the mail is refused for good.
	ErrRefused = errors.New("refused")
	// ErrUnavailable means that the server cannot be reached or accepts no mail at all, for
	// example because the password is wrong.
	ErrUnavailable = errors.New("mail server unavailable")
	// ErrUncertain means that the mail was handed over, and the answer is not known.
	ErrUncertain = errors.New("the answer to the mail is not known")
)

// DropError is returned by [Kind.Compose] for a message that is no longer to be sent.
type DropError struct {
	// Reason is a word or two, such as "cancelled".
	Reason string
}

func (e *DropError) Error() string { return "notify: dropped: " + e.Reason }

// Drop returns a [*DropError].
func Drop(reason string) error { return &DropError{Reason: reason} }

const maxSubject = 500

// Check reports what is wrong with a mail: an address that is none, an empty text, or a
// header that contains a line break or another control character, by which a customer's
// name could add header fields.
func (m Mail) Check() error {
	var all []error
	for field, address := range map[string]string{"To": m.To, "ReplyTo": m.ReplyTo} {
		if address == "" && field == "ReplyTo" {
			continue
		}
		parsed, err := mail.ParseAddress(address)
		if err != nil || parsed.Name != "" || !isLine(address) || strings.ContainsAny(address, "<>") {
			all = append(all, fmt.Errorf("%s is no e-mail address", field))
		}
	}
	for field, value := range map[string]string{"ToName": m.ToName, "Subject": m.Subject, "MessageID": m.MessageID,
		"Language": m.Language, "CalendarMethod": m.CalendarMethod} {
		if !isLine(value) {
			all = append(all, fmt.Errorf("%s contains a control character", field))
		}
	}
	for name, value := range m.Headers {
		if !isHeaderName(name) || !isLine(value) {
			all = append(all, fmt.Errorf("header field %q is malformed", textproto.TrimString(name)))
		}
	}
	for _, a := range m.Attachments {
		if !isLine(a.Name) || !isLine(a.ContentType) || a.Name == "" || strings.ContainsAny(a.Name, `/\"`) {
			all = append(all, errors.New("an attachment has no proper name"))
		}
	}
	if m.Subject == "" || utf8.RuneCountInString(m.Subject) > maxSubject {
		all = append(all, errors.New("the subject must have between 1 and 500 characters"))
	}
	if m.Text == "" || !utf8.ValidString(m.Text) || !utf8.ValidString(m.HTML) {
		all = append(all, errors.New("the text must not be empty, and it and the HTML must be UTF-8"))
	}
	return errors.Join(all...)
}

func isLine(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
	})
}

func isHeaderName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}
