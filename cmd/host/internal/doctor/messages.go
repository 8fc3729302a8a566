package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/booking-platform/booking-platform/notify"
)

// messages finds mails that are not sent. It does not connect to the mail server: host
// message test does.
func (e *examination) messages(ctx context.Context) ([]Finding, error) {
	if e.Config.SMTPURL == "" {
		if !e.Config.Production {
			return []Finding{ok(Messages, "mails are not sent: a host in development shows them at /mailbox")}, nil
		}
		if e.invalid("SMTP_URL") {
			return nil, nil
		}
		return []Finding{warning(Messages, "SMTP_URL is not set: customers and owners get no mails",
			"Set SMTP_URL, MAIL_FROM and MAIL_OWNER, and run: host message test you@example.com.")}, nil
	}
	outbox, err := notify.New(e.DB, notify.Options{})
	if err != nil {
		return nil, err
	}
	c, err := outbox.Counts(ctx)
	if err != nil {
		return nil, err
	}
	var found []Finding
	if c.Oldest > backlogLimit {
		found = append(found, problem(Messages, fmt.Sprintf("%d mails are due, the oldest for %s", c.Due,
			c.Oldest.Round(time.Second)), "See host message list --state due, and run host message test you@example.com."))
	}
	if c.Refused > 0 {
		found = append(found, warning(MessagesRefused, fmt.Sprintf("%d mails were refused or given up", c.Refused),
			"See host message list --state refused; host message resend sends one again. They are deleted after 90 days."))
	}
	if len(found) == 0 {
		found = append(found, ok(Messages, fmt.Sprintf("%d due, none for long", c.Due)))
	}
	return found, nil
}
