package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/booking/resourcefile"
	"github.com/booking-platform/booking-platform/migrations"
)

// errMisunderstood gives a command line that makes no sense its exit status.
var errMisunderstood = errors.New("not understood")

// streams are what a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// resource does `host resource apply`, `list` and `show`.
func resource(ctx context.Context, args []string, environ map[string]string, std streams) error {
	if len(args) == 0 {
		return errMisunderstood
	}
	switch rest := args[1:]; args[0] {
	case "apply":
		return applyCommand(ctx, rest, environ, std)
	case "list":
		if len(rest) > 0 {
			return errMisunderstood
		}
		return withResources(ctx, environ, std,
			func(store *booking.Store) error { return listResources(ctx, store, std.out) })
	case "show":
		if len(rest) == 0 {
			return errMisunderstood
		}
		return withResources(ctx, environ, std,
			func(store *booking.Store) error { return showResources(ctx, store, rest, std.out) })
	}
	return errMisunderstood
}

func applyCommand(ctx context.Context, args []string, environ map[string]string, std streams) error {
	flags := quietFlags("apply")
	name := flags.String("f", "", "")
	dry := flags.Bool("dry-run", false, "")
	if err := flags.Parse(args); err != nil || *name == "" || flags.NArg() > 0 {
		return errMisunderstood
	}
	data, err := readResourceFile(*name, std.in)
	if err != nil {
		return err
	}
	resources, err := resourcefile.Read(data)
	if err != nil {
		return fmt.Errorf("%s: %w", *name, err)
	}
	return withResources(ctx, environ, std, func(store *booking.Store) error {
		return applyResources(ctx, store, resources, *dry, std.out)
	})
}

// readResourceFile reads a little more than a file may have, at most: the rest is not
// wanted.
func readResourceFile(name string, in io.Reader) ([]byte, error) {
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("read the resources: %w", err)
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, resourcefile.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read the resources: %w", err)
	}
	return data, nil
}

// withResources opens the database that `host migrate` opens, and does something with the
// store.
func withResources(ctx context.Context, environ map[string]string, std streams, do func(*booking.Store) error) error {
	return withStorage(ctx, environ, std, migrations.Booking, func(s *storage) error {
		store, err := booking.New(s.db, booking.Options{Logger: newLogger(std.err)})
		if err != nil {
			return err
		}
		return do(store)
	})
}

// applyResources looks at all of them first: what would be refused is told before
// anything has changed.
func applyResources(ctx context.Context, store *booking.Store, resources []booking.Resource, dry bool,
	out io.Writer) error {
	var plans []booking.Applied
	var refused []error
	for _, r := range resources {
		plan, err := store.ApplyResource(ctx, r, booking.ApplyOptions{DryRun: true})
		if err != nil {
			refused = append(refused, refusal(r, err))
			continue
		}
		plans = append(plans, plan)
	}
	if len(refused) > 0 {
		return errors.Join(refused...)
	}
	for i, r := range resources {
		done := plans[i]
		if !dry {
			var err error
			if done, err = store.ApplyResource(ctx, r, booking.ApplyOptions{}); err != nil {
				return refusal(r, err)
			}
		}
		printApplied(out, done)
	}
	if dry {
		fmt.Fprintln(out, "dry run: nothing was written")
	}
	return nil
}

// printApplied says what changed, one field on each line.
func printApplied(out io.Writer, a booking.Applied) {
	switch {
	case a.Created:
		fmt.Fprintf(out, "%s: created\n", a.Resource.Slug)
	case len(a.Changes) == 0:
		fmt.Fprintf(out, "%s: unchanged\n", a.Resource.Slug)
	default:
		fmt.Fprintf(out, "%s: changed\n", a.Resource.Slug)
	}
	for _, c := range a.Changes {
		switch {
		case c.From == "":
			fmt.Fprintf(out, "  + %s: %s\n", c.Field, line(c.To))
		case c.To == "":
			fmt.Fprintf(out, "  - %s: %s\n", c.Field, line(c.From))
		default:
			fmt.Fprintf(out, "  ~ %s: %s -> %s\n", c.Field, line(c.From), line(c.To))
		}
	}
	// A warning does not depend on what changed: it is repeated until the file is another
	// one.
	for _, w := range a.Resource.Warnings() {
		fmt.Fprintf(out, "  warning: %s\n", w)
	}
}

// line is a text on one line that is not too long.
func line(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > 60 {
		text = string(runes[:60]) + "…"
	}
	return text
}

// refusal names the resource and, of a capacity, the bookings in the way.
func refusal(r booking.Resource, err error) error {
	var small *booking.CapacityError
	if !errors.As(err, &small) {
		return fmt.Errorf("%s: %w", r.Slug, err)
	}
	zone, zoneErr := r.Zone()
	if zoneErr != nil {
		zone = time.UTC
	}
	lines := []string{fmt.Sprintf("%s: %v; in the way, in the time of %s:", r.Slug, small, zone)}
	for _, b := range small.Bookings {
		lines = append(lines, fmt.Sprintf("  %s  %s to %s  party %d  %s", b.ID,
			b.Start.In(zone).Format("2006-01-02 15:04"), b.End.In(zone).Format("2006-01-02 15:04"), b.Party, b.Status))
	}
	return errors.New(strings.Join(lines, "\n"))
}

func listResources(ctx context.Context, store *booking.Store, out io.Writer) error {
	all, err := store.AllResources(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SLUG\tNAME\tCAPACITY\tPRICE\tOFFERS\tTIME ZONE\tACTIVE")
	for _, r := range all {
		active := "yes"
		if !r.Active {
			active = "no"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%d\t%s\t%s\n", r.Slug, line(r.Name), r.Capacity, r.Price, len(r.Offers),
			r.TimeZone, active)
	}
	return table.Flush()
}

// showResources prints what apply reads.
func showResources(ctx context.Context, store *booking.Store, slugs []string, out io.Writer) error {
	var found []booking.Resource
	for _, slug := range slugs {
		r, err := store.Resource(ctx, slug)
		if errors.Is(err, booking.ErrNotFound) {
			return fmt.Errorf("there is no resource %q", slug)
		}
		if err != nil {
			return err
		}
		found = append(found, r)
	}
	return resourcefile.Write(out, found...)
}
