package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/booking/resourcefile"
	"github.com/booking-platform/booking-platform/migrations"
)

func (c *cli) resourceCommand() *cobra.Command {
	var file string
	var dry bool
	apply := c.jsonFlag(&cobra.Command{
		Use:   "apply --file FILE",
		Short: "Create or change resources as a file describes them",
		Long: `Create or change resources as a file describes them, in YAML or JSON (docs/resources.md).
Applying the same file again changes nothing. When one resource is refused, none is written.`,
		Example: `  host resource apply -f studio.yaml --dry-run
  host resource apply -f studio.yaml
  host resource show studio | host resource apply -f -`,
		Args: arguments(0, 0, "name the file with --file"),
		RunE: c.action(func(ctx context.Context, _ []string) error {
			if file == "" {
				return usagef("--file is missing; it is the path of a file in YAML or JSON, or - for standard input")
			}
			return c.applyFile(ctx, file, dry)
		}),
	})
	apply.Flags().StringVarP(&file, "file", "f", "", "the `FILE`, in YAML or JSON; - is standard input")
	apply.Flags().BoolVar(&dry, "dry-run", false, "print what would change, and write nothing")
	return c.group("resource", "Apply, list and show resources", apply,
		c.jsonFlag(&cobra.Command{
			Use:     "list",
			Short:   "List the resources",
			Example: "  host resource list",
			Args:    noArguments,
			RunE:    c.action(c.listResources),
		}),
		c.jsonFlag(&cobra.Command{
			Use:     "show SLUG...",
			Short:   "Print resources as apply reads them",
			Example: "  host resource show studio >studio.yaml",
			Args:    arguments(1, -1, "the slug of a resource"),
			RunE:    c.action(c.showResources),
		}))
}

// withBookings is withStorage for the bookings alone.
func (c *cli) withBookings(ctx context.Context, do func(*booking.Store) error) error {
	return c.withStorage(ctx, migrations.Booking, func(s *storage) error {
		store, err := booking.New(s.db, booking.Options{Logger: c.logger()})
		if err != nil {
			return err
		}
		return do(store)
	})
}

func (c *cli) applyFile(ctx context.Context, file string, dry bool) error {
	data, err := c.readResourceFile(file)
	if err != nil {
		return err
	}
	resources, err := resourcefile.Read(data)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return c.withBookings(ctx, func(store *booking.Store) error {
		return c.applyResources(ctx, store, resources, dry)
	})
}

// readResourceFile reads one byte more than is allowed, so that Read can refuse the rest.
func (c *cli) readResourceFile(name string) ([]byte, error) {
	in := c.in
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

// applyResources checks all of them first, so that nothing is written when one is
// refused.
func (c *cli) applyResources(ctx context.Context, store *booking.Store, resources []booking.Resource, dry bool) error {
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
		if err := c.printApplied(done, dry); err != nil {
			return err
		}
	}
	if dry && !c.json {
		fmt.Fprintln(c.out, "dry run: nothing was written")
	}
	return nil
}

// appliedJSON is what apply did to a resource, in JSON.
type appliedJSON struct {
	Slug     string       `json:"slug"`
	Result   string       `json:"result"`
	Changes  []changeJSON `json:"changes,omitempty"`
	Warnings []string     `json:"warnings,omitempty"`
	DryRun   bool         `json:"dryRun,omitempty"`
}

type changeJSON struct {
	Field string `json:"field"`
	From  string `json:"from,omitempty"`
	To    string `json:"to,omitempty"`
}

func (c *cli) printApplied(a booking.Applied, dry bool) error {
	result := "changed"
	switch {
	case a.Created:
		result = "created"
	case len(a.Changes) == 0:
		result = "unchanged"
	}
	// A warning is repeated each time, until the file is changed.
	warnings := a.Resource.Warnings()
	if c.json {
		line := appliedJSON{Slug: a.Resource.Slug, Result: result, DryRun: dry}
		for _, w := range warnings {
			line.Warnings = append(line.Warnings, w.String())
		}
		for _, change := range a.Changes {
			line.Changes = append(line.Changes, changeJSON{change.Field, change.From, change.To})
		}
		return printJSON(c.out, line)
	}
	fmt.Fprintf(c.out, "%s: %s\n", a.Resource.Slug, result)
	for _, change := range a.Changes {
		switch {
		case change.From == "":
			fmt.Fprintf(c.out, "  + %s: %s\n", change.Field, truncate(change.To))
		case change.To == "":
			fmt.Fprintf(c.out, "  - %s: %s\n", change.Field, truncate(change.From))
		default:
			fmt.Fprintf(c.out, "  ~ %s: %s -> %s\n", change.Field, truncate(change.From), truncate(change.To))
		}
	}
	for _, w := range warnings {
		fmt.Fprintf(c.out, "  warning: %s\n", w)
	}
	return nil
}

// refusal names the resource and, where a capacity is too small, the bookings in the way.
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

// resourceJSON is a resource of the list in JSON. The price is in minor units.
type resourceJSON struct {
	Slug     string `json:"slug"`
	Name     string `json:"name"`
	Capacity int    `json:"capacity"`
	Price    int64  `json:"price"`
	Currency string `json:"currency"`
	Offers   int    `json:"offers"`
	TimeZone string `json:"timeZone"`
	Active   bool   `json:"active"`
}

func (c *cli) listResources(ctx context.Context, _ []string) error {
	return c.withBookings(ctx, func(store *booking.Store) error {
		all, err := store.AllResources(ctx)
		if err != nil {
			return err
		}
		var rows [][]string
		var lines []resourceJSON
		for _, r := range all {
			rows = append(rows, []string{r.Slug, truncate(r.Name), strconv.Itoa(r.Capacity), r.Price.String(),
				strconv.Itoa(len(r.Offers)), r.TimeZone, yesNo(r.Active)})
			lines = append(lines, resourceJSON{r.Slug, r.Name, r.Capacity, r.Price.Minor, r.Price.Currency,
				len(r.Offers), r.TimeZone, r.Active})
		}
		if c.json {
			return printJSON(c.out, lines...)
		}
		return printTable(c.out, []string{"SLUG", "NAME", "CAPACITY", "PRICE", "OFFERS", "TIME ZONE", "ACTIVE"}, rows)
	})
}

func (c *cli) showResources(ctx context.Context, slugs []string) error {
	return c.withBookings(ctx, func(store *booking.Store) error {
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
		if !c.json {
			return resourcefile.Write(c.out, found...)
		}
		for _, r := range found {
			if err := c.printResourceJSON(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// printResourceJSON prints a resource with the names and texts of its YAML form.
func (c *cli) printResourceJSON(r booking.Resource) error {
	var text bytes.Buffer
	if err := resourcefile.Write(&text, r); err != nil {
		return err
	}
	var fields map[string]any
	if err := yaml.Unmarshal(text.Bytes(), &fields); err != nil {
		return err
	}
	return printJSON(c.out, fields)
}
