package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/cmd/host/internal/mailbox"
	"github.com/booking-platform/booking-platform/notify"
	"github.com/booking-platform/booking-platform/notify/bookingmail"
	"github.com/booking-platform/booking-platform/notify/smtp"
)

const (
	mailboxPath = "/mailbox"
	// The addresses of development without MAIL_FROM and MAIL_OWNER: nothing is sent.
	devMailFrom, devMailOwner = "booking@localhost", "owner@localhost"
)

// useMessages makes the outbox. Without SMTP_URL a host in development keeps mails in the
// mailbox, and one in production sends nothing.
func (s *services) useMessages(observe func(string, time.Duration, int, error)) error {
	base, err := url.Parse(s.cfg.AppURL)
	if err != nil {
		return fmt.Errorf("read the address of the host: %w", err)
	}
	from, owners := s.cfg.MailFrom, s.cfg.MailOwners
	opts := notify.Options{Logger: s.logger, Domain: base.Hostname(), OnStep: observe,
		OnResult: func(_ string, result notify.Result) { s.metrics.Message(string(result)) }}
	switch {
	case s.cfg.SMTPURL != "":
		if s.mailServer, err = smtp.New(smtp.Options{URL: s.cfg.SMTPURL, From: from}); err != nil {
			return err
		}
		opts.Sender = s.mailServer
	case !s.cfg.Production:
		s.mailbox = mailbox.New(base.Path+mailboxPath, s.logger)
		opts.Sender = s.mailbox
		if len(owners) == 0 {
			owners = []string{devMailOwner}
		}
	}
	sender, err := smtp.ParseAddress(cmp.Or(from, devMailFrom))
	if err != nil {
		return fmt.Errorf("read MAIL_FROM: %w", err)
	}
	mailer, err := bookingmail.New(bookingmail.Options{
		Bookings: s.bookings, Payments: s.payments, BookingURL: s.payments.BookingURL, Domain: base.Hostname(),
		From: sender.Address, FromName: sender.Name, Owners: owners,
		OwnerLanguage: s.cfg.MailOwnerLanguage,
	})
	if err != nil {
		return err
	}
	opts.Kinds = mailer.Kinds()
	opts.Kinds[kindTest] = notify.Kind{Compose: composeTest}
	opts.Kinds[kindLinks] = notify.Kind{Expand: s.expandLinks}
	if opts.Sender != nil {
		s.sendLinks = s.requestLinks
	}
	s.messages, err = notify.New(s.db, opts)
	return err
}

// kindLinks is the kind of a request for the links of an address, its recipient.
const kindLinks = "host.links"

// maxLinks is how many links one request sends.
const maxLinks = 20

// requestLinks is pages.Options.SendLinks. It does not look for bookings, so that it takes
// the same time for every address. One round trip.
func (s *services) requestLinks(ctx context.Context, email string) error {
	_, err := s.messages.Enqueue(ctx, s.db, notify.Draft{Kind: kindLinks, Occurrence: rand.Text(), Recipient: email})
	return err
}

// expandLinks makes a mail for each coming booking of the address.
func (s *services) expandLinks(ctx context.Context, m notify.Message) ([]notify.Draft, error) {
	page, err := s.bookings.List(ctx, booking.ListOptions{
		Customer: m.Recipient, Kind: booking.KindBooking, Order: booking.ByStart, From: m.Now, Limit: maxLinks,
		Statuses: []booking.Status{booking.StatusPending, booking.StatusConfirmed},
	})
	if err != nil {
		return nil, err
	}
	var drafts []notify.Draft
	for _, b := range page.Bookings {
		drafts = append(drafts, bookingmail.LinkAgain(b, m.Occurrence))
	}
	return drafts, nil
}

// kindTest is the kind of `host message test`, which is never in the outbox.
const kindTest = "host.test"

func composeTest(_ context.Context, m notify.Message) (notify.Mail, error) {
	return notify.Mail{To: m.Recipient, Subject: "Test of booking-platform",
		Text: "This mail was sent by: host message test\n"}, nil
}

// messageCounts are zero on a host that sends nothing: doctor warns about that.
func (s *services) messageCounts(ctx context.Context) (notify.Counts, error) {
	if !s.mails() {
		return notify.Counts{}, nil
	}
	return s.messages.Counts(ctx)
}
