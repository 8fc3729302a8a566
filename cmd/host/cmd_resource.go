package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/booking/resourcefile"
	"github.com/booking-platform/booking-platform/cmd/host/internal/output"
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
			Short:   "Print resources as files for apply",
			Example: "  host resource show studio >studio.yaml",
			Args:    arguments(1, -1, "the slug of a resource"),
			RunE:    c.action(c.showResources),
		}))
}

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

// readResourceFile reads one byte more than is allowed, for Read to refuse.
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

// applyResources writes nothing when one resource is refused.
func (c *cli) applyResources(ctx context.Context, store *booking.Store, resources []booking.Resource, dry bool) error {
	var plans []booking.Applied
	var refused []error
	for _, r := range resources {
		plan, err := store.ApplyResource(ctx, r, booking.ApplyOptions{DryRun: true})
		if err != nil {
			refused = append(refused, output.Refusal(r, err))
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
				return output.Refusal(r, err)
			}
		}
		if err := c.printer().Applied(done, dry); err != nil {
			return err
		}
	}
	if dry && !c.json {
		fmt.Fprintln(c.out, "dry run: nothing was written")
	}
	return nil
}

func (c *cli) listResources(ctx context.Context, _ []string) error {
	return c.withBookings(ctx, func(store *booking.Store) error {
		all, err := store.AllResources(ctx)
		if err != nil {
			return err
		}
		return c.printer().Resources(all)
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
		return c.printer().ResourceFile(found)
	})
}
