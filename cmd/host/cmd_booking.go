package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
)

// bookingCommand does `host booking renew-links`.
func bookingCommand(ctx context.Context, args []string, environ map[string]string, std streams) error {
	if len(args) == 0 || args[0] != "renew-links" {
		return errMisunderstood
	}
	var req booking.RenewRequest
	var show, asJSON bool
	flags := quietFlags("renew-links")
	flags.BoolVar(&req.All, "all", false, "")
	flags.StringVar(&req.Secret, "secret", "", "")
	flags.StringVar(&req.After, "after", "", "")
	flags.BoolVar(&show, "links", false, "")
	flags.BoolVar(&asJSON, "json", false, "")
	if err := flags.Parse(args[1:]); err != nil || req.All && req.Secret != "" {
		return errMisunderstood
	}
	ids := flags.Args()
	if len(ids) > 0 && (req != booking.RenewRequest{}) {
		return errMisunderstood
	}
	if err := secretIsKept(environ); err != nil {
		return err
	}
	return withRooms(ctx, environ, std, func(r *rooms) error {
		lines := linkLines{out: std.out, page: r.payments.BookingURL, asJSON: asJSON}
		if len(ids) > 0 {
			return renewNamed(ctx, r.bookings, ids, &lines)
		}
		return renewMany(ctx, r.bookings, req, show, &lines, std)
	})
}

// secretIsKept refuses links that only this process could tell: in development, where
// DATA_DIR cannot be written.
func secretIsKept(environ map[string]string) error {
	cfg, err := config.Load(environ)
	if err != nil || len(cfg.SessionSecrets) > 0 {
		return err
	}
	_, err = config.KeepSessionSecret(cfg.DataDir)
	return err
}

// renewNamed renews the links of bookings that are named, coming or not, and prints them:
// each is for one customer.
func renewNamed(ctx context.Context, bookings *booking.Store, ids []string, lines *linkLines) error {
	for _, id := range ids {
		_, err := bookings.RenewOwnerToken(ctx, id)
		if errors.Is(err, booking.ErrNotFound) {
			err = fmt.Errorf("there is no booking %q", id)
		}
		if err != nil {
			return errors.Join(err, lines.flush())
		}
		b, err := bookings.WithOwnerToken(ctx, id)
		if err != nil {
			return errors.Join(err, lines.flush())
		}
		lines.add(b)
	}
	return lines.flush()
}

// renewMany renews batch after batch. What was renewed is told also where an error or a
// signal ends the run.
func renewMany(ctx context.Context, bookings *booking.Store, req booking.RenewRequest, show bool, lines *linkLines,
	std streams) error {
	total, last := 0, req.After
	for {
		batch, err := bookings.RenewOwnerTokens(ctx, req)
		total += len(batch.Bookings)
		for _, b := range batch.Bookings {
			if show {
				lines.add(b)
			}
			last = b.ID
		}
		var invalid *booking.ValidationError
		if errors.As(err, &invalid) {
			for field, what := range invalid.Fields {
				return fmt.Errorf("-%s %s", field, what)
			}
		}
		if flushed := lines.flush(); err != nil || flushed != nil {
			rest := "run the same again for the rest"
			if (req.All || req.Secret != "") && last != "" {
				rest = "for the rest, run the same again with -after " + last
			}
			return fmt.Errorf("%s renewed, and not all: %s: %w", counted(total, "link"), rest,
				errors.Join(err, flushed))
		}
		if req.After = batch.Next; req.After == "" {
			break
		}
		fmt.Fprintf(std.err, "%s renewed so far\n", counted(total, "link"))
	}
	return lines.sum(total, show)
}

// linkLines prints links: a table, or a JSON object on each line.
type linkLines struct {
	out    io.Writer
	page   func(id, token string) string
	asJSON bool
	waits  []booking.Booking
	headed bool
}

// linkLine is a booking with its new link in JSON.
type linkLine struct {
	ID        string    `json:"id"`
	Start     time.Time `json:"start"`
	FirstName string    `json:"firstName"`
	LastName  string    `json:"lastName"`
	Email     string    `json:"email"`
	Link      string    `json:"link"`
}

func (l *linkLines) add(b booking.Booking) { l.waits = append(l.waits, b) }

// flush prints what was added.
func (l *linkLines) flush() error {
	added := l.waits
	l.waits = nil
	if l.asJSON {
		lines := json.NewEncoder(l.out)
		lines.SetEscapeHTML(false)
		for _, b := range added {
			err := lines.Encode(linkLine{b.ID, b.Start, b.Customer.FirstName, b.Customer.LastName, b.Customer.Email,
				l.page(b.ID, b.OwnerToken)})
			if err != nil {
				return err
			}
		}
		return nil
	}
	if len(added) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(l.out, 0, 0, 2, ' ', 0)
	if !l.headed {
		fmt.Fprintln(table, "BOOKING\tSTART\tE-MAIL\tLINK")
		l.headed = true
	}
	for _, b := range added {
		fmt.Fprintln(table, strings.Join([]string{b.ID, instant(b.Start), plain(b.Customer.Email),
			l.page(b.ID, b.OwnerToken)}, "\t"))
	}
	return table.Flush()
}

// sum ends a run over many. The links themselves open the bookings, so they are printed
// only where they were asked for.
func (l *linkLines) sum(total int, shown bool) error {
	if l.asJSON {
		if shown {
			return nil
		}
		return json.NewEncoder(l.out).Encode(map[string]int{"renewed": total})
	}
	_, err := fmt.Fprintf(l.out, "%s renewed\n", counted(total, "link"))
	return err
}
