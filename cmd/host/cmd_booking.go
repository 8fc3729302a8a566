package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/cmd/host/internal/output"
)

func (c *cli) bookingCommand() *cobra.Command {
	var req booking.RenewRequest
	var links bool
	renew := c.jsonFlag(&cobra.Command{
		Use:   "renew-links [ID...]",
		Short: "Make new links for bookings, and end their old ones",
		Long: `Make new links for bookings, and end their old ones.

With ids, the links of these bookings are renewed and printed. Without ids, the links of all coming
bookings are renewed that no longer work, because the secret that made them is no longer in
SESSION_SECRET. A link gives access to the booking: treat it as a password.

After an error, run the same command again; with --secret or --all, add the --after that the error
names.`,
		Example: `  host booking renew-links --links        # after a leak: print the new links, to send them
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
			return c.renewLinks(ctx, ids, req, links)
		}),
	})
	renew.Flags().BoolVar(&req.All, "all", false, "renew the links of all coming bookings")
	renew.Flags().StringVar(&req.Secret, "secret", "",
		"renew the links made with this secret, by its `ID`; host doctor lists them")
	renew.Flags().StringVar(&req.After, "after", "", "continue an interrupted run after this `ID` of a booking")
	renew.Flags().BoolVar(&links, "links", false, "print the new links with the customers' addresses")
	return c.group("booking", "Enter and cancel bookings, and renew customers' links", c.bookingAddCommand(),
		c.bookingCancelCommand(), c.bookingShowCommand(), renew)
}

func (c *cli) renewLinks(ctx context.Context, ids []string, req booking.RenewRequest, show bool) error {
	if err := c.requireKeptSecret(); err != nil {
		return err
	}
	return c.withServices(ctx, func(r *services) error {
		p := output.Links{Printer: c.printer(), URL: r.payments.BookingURL}
		if len(ids) > 0 {
			return renewNamed(ctx, r.bookings, ids, &p)
		}
		return c.renewBatches(ctx, r.bookings, req, show, &p)
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

func renewNamed(ctx context.Context, bookings *booking.Store, ids []string, p *output.Links) error {
	for _, id := range ids {
		var b booking.Booking
		_, err := bookings.RenewOwnerToken(ctx, id)
		if err == nil {
			b, err = bookings.WithOwnerToken(ctx, id)
		}
		if errors.Is(err, booking.ErrNotFound) {
			err = fmt.Errorf("there is no booking %q", id)
		}
		if err != nil {
			return errors.Join(err, p.Flush())
		}
		p.Add(b)
	}
	return p.Flush()
}

// renewBatches prints what was renewed also when an error or a signal ends the run.
func (c *cli) renewBatches(ctx context.Context, bookings *booking.Store, req booking.RenewRequest, show bool,
	p *output.Links) error {
	total, last := 0, req.After
	for {
		batch, err := bookings.RenewOwnerTokens(ctx, req)
		total += len(batch.Bookings)
		for _, b := range batch.Bookings {
			if show {
				p.Add(b)
			}
			last = b.ID
		}
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
	if c.json && show {
		return nil
	}
	return c.printer().Line(output.Plural(total, "link")+" renewed", map[string]int{"renewed": total})
}
