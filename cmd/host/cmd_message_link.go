package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/cmd/host/internal/output"
	"github.com/booking-platform/booking-platform/internal/pg"
	"github.com/booking-platform/booking-platform/notify/bookingmail"
)

func (c *cli) messageLinkCommand() *cobra.Command {
	var coming bool
	cmd := c.jsonFlag(&cobra.Command{
		Use:   "link BOOKING-ID... | --coming",
		Short: "Mail customers the private links of their bookings",
		Long: `Mail customers the private links of their bookings, as they are when the mail is sent; a running host
sends it. A booking gets one such mail a day (in UTC), so an interrupted run can be repeated.

After a leak, host booking renew-links --mail ends the old links and mails the new ones.`,
		Example: `  host message link 0193b3a0-0000-7000-8000-000000000000
  host message link --coming`,
		Args: cobra.ArbitraryArgs,
		RunE: c.action(func(ctx context.Context, ids []string) error {
			if coming == (len(ids) > 0) {
				return usagef("name bookings by their ids, or all that are confirmed and not over by --coming")
			}
			return c.withServices(ctx, func(r *services) error {
				if !r.mails() {
					return errNoMailServer
				}
				total, err := r.mailLinks(ctx, ids)
				if err != nil {
					return fmt.Errorf("%s due, and not all: run the same command again: %w", output.Plural(total, "mail"), err)
				}
				return c.printer().Line(output.Plural(total, "mail")+" due", map[string]int{"due": total})
			})
		}),
	})
	cmd.Flags().BoolVar(&coming, "coming", false, "all bookings that are confirmed and not over")
	return cmd
}

var errNoMailServer = errors.New("no mail server is configured: set SMTP_URL and MAIL_FROM")

// mails reports whether a mail is sent at all.
func (s *services) mails() bool { return s.mailServer != nil || s.mailbox != nil }

// mailLinks enqueues mails with the links of the bookings, or without ids of all coming
// ones, and returns how many are new.
func (s *services) mailLinks(ctx context.Context, ids []string) (total int, err error) {
	if len(ids) > 0 {
		for _, id := range ids {
			b, err := s.bookings.Get(ctx, id)
			if errors.Is(err, booking.ErrNotFound) {
				err = fmt.Errorf("there is no booking %q", id)
			}
			if err != nil {
				return total, err
			}
			n, err := s.enqueueLinks(ctx, []booking.Booking{b}, today)
			if total += n; err != nil {
				return total, err
			}
		}
		return total, nil
	}
	// A day before now: what has begun may not be over.
	opts := booking.ListOptions{Order: booking.ByStart, From: time.Now().Add(-24 * time.Hour), Limit: 500,
		Kind: booking.KindBooking, Statuses: []booking.Status{booking.StatusConfirmed}}
	for {
		page, err := s.bookings.List(ctx, opts)
		if err != nil {
			return total, err
		}
		n, err := s.enqueueLinks(ctx, page.Bookings, today)
		if total += n; err != nil {
			return total, err
		}
		if opts.After = page.Next; opts.After == "" {
			return total, nil
		}
	}
}

// today is the occurrence of a mail that a booking gets once a day.
func today(booking.Booking) string { return time.Now().UTC().Format(time.DateOnly) }

func (s *services) enqueueLinks(ctx context.Context, bookings []booking.Booking,
	occurrence func(booking.Booking) string) (n int, err error) {
	now := time.Now()
	err = pg.InTx(ctx, s.db, func(tx *sql.Tx) error {
		n = 0
		for _, b := range bookings {
			if !b.End.After(now) {
				continue
			}
			added, err := s.messages.Enqueue(ctx, tx, bookingmail.LinkAgain(b, occurrence(b)))
			if err != nil {
				return err
			}
			if added {
				n++
			}
		}
		return nil
	})
	return n, err
}
