package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/cmd/host/internal/output"
)

func (c *cli) bookingCommand() *cobra.Command {
	var req booking.RenewRequest
	var links, mail bool
	renew := c.jsonFlag(&cobra.Command{
		Use:   "renew-links [ID...]",
		Short: "Make new links for bookings, and end their old ones",
		Long: `Make new links for bookings, and end their old ones.

With ids, the links of these bookings are renewed and printed. Without ids, the links of all coming
bookings are renewed that no longer work, because the secret that made them is no longer in
SESSION_SECRET. A link gives access to the booking: treat it as a password.

With --mail the customers of coming bookings are mailed their new links; a running host sends the
mails.

After an error, run the same command again; with --secret or --all, add the --after that the error
names. If the process was killed, host message link --coming mails the links that are missing.`,
		Example: `  host booking renew-links --mail         # after a leak: mail the new links
  host booking renew-links --links        # print them, to send them
  host booking renew-links --secret 0123456789ab
  host booking renew-links 0193b3a0-0000-7000-8000-000000000000`,
		Args: arguments(0, -1, "the id of a booking"),
		RunE: c.action(func(ctx context.Context, ids []string) error {
			switch {
			case req.All && req.Secret != "":
				return usagef("--all and --secret exclude each other")
			case len(ids) > 0 && (req != booking.RenewRequest{}):
				return usagef("--all, --secret and --after cannot be combined with ids")
			}
			return c.renewLinks(ctx, ids, req, links, mail)
		}),
	})
	renew.Flags().BoolVar(&req.All, "all", false, "renew the links of all coming bookings")
	renew.Flags().StringVar(&req.Secret, "secret", "",
		"renew the links made with this secret, by its `ID`; host doctor lists them")
	renew.Flags().StringVar(&req.After, "after", "", "continue an interrupted run after this `ID` of a booking")
	renew.Flags().BoolVar(&links, "links", false, "print the new links with the customers' addresses")
	renew.Flags().BoolVar(&mail, "mail", false, "mail the customers their new links")
	return c.group("booking", "Enter and cancel bookings, and renew customers' links", c.bookingAddCommand(),
		c.bookingCancelCommand(), c.bookingShowCommand(), renew)
}

func (c *cli) renewLinks(ctx context.Context, ids []string, req booking.RenewRequest, show, mail bool) error {
	if err := c.requireKeptSecret(); err != nil {
		return err
	}
	return c.withServices(ctx, func(r *services) error {
		if mail && !r.mails() {
			return errNoMailServer
		}
		renewal := linkRenewal{cli: c, services: r, mail: mail,
			links: output.Links{Printer: c.printer(), URL: r.payments.BookingURL}}
		if len(ids) > 0 {
			return renewal.named(ctx, ids)
		}
		return renewal.batches(ctx, req, show)
	})
}

// requireKeptSecret fails if only this process would know the secret of the links: in
// development, where DATA_DIR cannot be written.
func (c *cli) requireKeptSecret() error {
	cfg, err := config.Load(c.environ)
	if err != nil || len(cfg.SessionSecrets) > 0 {
		return err
	}
	_, err = config.KeepSessionSecret(cfg.DataDir)
	return err
}

// linkRenewal is one run of booking renew-links.
type linkRenewal struct {
	cli      *cli
	services *services
	mail     bool
	mailed   int
	links    output.Links
}

func (r *linkRenewal) named(ctx context.Context, ids []string) error {
	for _, id := range ids {
		var b booking.Booking
		_, err := r.services.bookings.RenewOwnerToken(ctx, id)
		if err == nil {
			b, err = r.services.bookings.WithOwnerToken(ctx, id)
		}
		if errors.Is(err, booking.ErrNotFound) {
			err = fmt.Errorf("there is no booking %q", id)
		}
		if err != nil {
			return errors.Join(err, r.links.Flush())
		}
		r.links.Add(b)
		if err := r.enqueue(ctx, []booking.Booking{b}); err != nil {
			return errors.Join(err, r.links.Flush())
		}
	}
	r.sayMailed()
	return r.links.Flush()
}

// enqueue mails the renewed links of bookings that are not over. It is not part of the
// transaction of the renewal, so that no mail has the old link.
func (r *linkRenewal) enqueue(ctx context.Context, renewed []booking.Booking) error {
	if !r.mail {
		return nil
	}
	n, err := r.services.enqueueLinks(ctx, renewed, func(b booking.Booking) string {
		// A link that was mailed today is another one.
		digest := sha256.Sum256([]byte(b.OwnerToken))
		return "renewed " + hex.EncodeToString(digest[:8])
	})
	r.mailed += n
	if err != nil {
		return fmt.Errorf("renewed, but not all are mailed: run host message link --coming: %w", err)
	}
	return nil
}

func (r *linkRenewal) sayMailed() {
	if r.mail {
		fmt.Fprintf(r.cli.err, "%s due\n", output.Plural(r.mailed, "mail"))
	}
}

// batches prints what was renewed also when an error or a signal ends the run.
func (r *linkRenewal) batches(ctx context.Context, req booking.RenewRequest, show bool) error {
	c, p := r.cli, &r.links
	total, last := 0, req.After
	for {
		batch, err := r.services.bookings.RenewOwnerTokens(ctx, req)
		total += len(batch.Bookings)
		for _, b := range batch.Bookings {
			if show {
				p.Add(b)
			}
			last = b.ID
		}
		err = errors.Join(err, r.enqueue(ctx, batch.Bookings))
		var invalid *booking.ValidationError
		if errors.As(err, &invalid) {
			for field, text := range invalid.Fields {
				return usagef("--%s %s", field, text)
			}
		}
		if flushed := p.Flush(); err != nil || flushed != nil {
			rest := "run the same command again for the rest"
			if (req.All || req.Secret != "") && last != "" {
				rest = "for the rest, run the same command again with --after " + last
			}
			return fmt.Errorf("%s renewed, and not all: %s: %w", output.Plural(total, "link"), rest,
				errors.Join(err, flushed))
		}
		if req.After = batch.Next; req.After == "" {
			break
		}
		fmt.Fprintf(c.err, "%s renewed so far\n", output.Plural(total, "link"))
	}
	r.sayMailed()
	if c.json && show {
		return nil
	}
	return c.printer().Line(output.Plural(total, "link")+" renewed", map[string]int{"renewed": total})
}
