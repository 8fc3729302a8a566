package config

import (
	"fmt"
	"net/mail"

	"github.com/booking-platform/booking-platform/locale"
	"github.com/booking-platform/booking-platform/notify/smtp"
)

// mail reads the variables about mails. The URL is not quoted, because it has a password.
func (c *Config) mail(e environment, problems *Problems) {
	c.SMTPURL, c.MailFrom, c.MailOwners = e.SMTPURL, e.MailFrom, e.MailOwner
	if c.MailFrom != "" {
		if _, err := smtp.ParseAddress(c.MailFrom); err != nil {
			problems.add("MAIL_FROM", "is no e-mail address", "it is like Studio <hello@example.com>")
			c.MailFrom = ""
		}
	}
	for n, owner := range c.MailOwners {
		if parsed, err := mail.ParseAddress(owner); err != nil || parsed.Address != owner {
			problems.add("MAIL_OWNER", fmt.Sprintf("has a value that is no e-mail address: number %d", n+1),
				"they are bare addresses such as owner@example.com, separated by commas")
		}
	}
	if c.MailOwnerLanguage = e.MailOwnerLanguage; c.MailOwnerLanguage != locale.Of(c.MailOwnerLanguage).Tag() {
		problems.add("MAIL_OWNER_LANGUAGE", "is no language of the mails", "it is en or fr")
	}
	if c.SMTPURL == "" {
		return
	}
	if e.MailFrom == "" {
		problems.add("MAIL_FROM", "is missing beside SMTP_URL",
			"set it to the sender of mails, such as Studio <hello@example.com>")
	}
	if _, err := smtp.New(smtp.Options{URL: c.SMTPURL, From: "a@example.com"}); err != nil {
		problems.add("SMTP_URL", "is not valid: "+err.Error(),
			"it is like smtp://user:password@mail.example.com:587, or smtps:// with port 465")
		c.SMTPURL = ""
	}
}
