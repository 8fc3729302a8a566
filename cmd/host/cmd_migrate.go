package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/booking-platform/booking-platform/migrations"
)

func (c *cli) migrateCommand() *cobra.Command {
	var wait time.Duration
	up := c.jsonFlag(&cobra.Command{
		Use:   "up",
		Short: "Apply the pending migrations",
		Long: `Apply the pending migrations. Several processes may run it at once: each migration is applied once.
A host that starts does the same.`,
		Example: "  host migrate up\n  host migrate up --wait 1m    # for a database that is starting",
		Args:    noArguments,
		RunE:    c.action(func(ctx context.Context, _ []string) error { return c.migrateUp(ctx, wait) }),
	})
	up.Flags().DurationVar(&wait, "wait", 0, "wait this `DURATION` for a database that does not answer yet")
	return c.group("migrate", "Apply and list migrations", up,
		c.jsonFlag(&cobra.Command{
			Use:   "status",
			Short: "List the migrations and whether they are applied",
			Long: `List the migrations and whether they are applied. Nothing is changed.

Exit status: 1 when one is pending.`,
			Example: "  host migrate status",
			Args:    noArguments,
			RunE:    c.action(c.migrateStatus),
		}))
}

func (c *cli) migrateUp(ctx context.Context, wait time.Duration) error {
	return c.withDatabase(ctx, wait, func(s *storage) error {
		applied, err := s.migrate(ctx, c.logger())
		if err != nil {
			return err
		}
		return c.printer().Migrated(applied)
	})
}

func (c *cli) migrateStatus(ctx context.Context, _ []string) error {
	return c.withDatabase(ctx, 0, func(s *storage) error {
		all, err := migrations.Status(ctx, s.db, migrations.All)
		if err != nil {
			return err
		}
		if err := c.printer().Migrations(all); err != nil {
			return err
		}
		if slices.ContainsFunc(all, func(m migrations.Migration) bool { return !m.Applied }) {
			return errors.New("migrations are pending: host migrate up")
		}
		return nil
	})
}
