package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/booking-platform/booking-platform/cmd/host/internal/output"
	"github.com/booking-platform/booking-platform/cmd/host/internal/postgres"
	"github.com/booking-platform/booking-platform/migrations"
)

func (c *cli) migrateCommand() *cobra.Command {
	var wait time.Duration
	up := c.jsonFlag(&cobra.Command{
		Use:   "up",
		Short: "Apply the pending migrations",
		Long: `Apply the pending migrations. Several processes may run it at once: each migration is applied once.
A host that starts does the same. It can be interrupted and run again.

It names the session that a migration waits for. Exit status: 1 if the schema is not complete.`,
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
		if err := waitUsable(ctx, s.db, wait, c.logger()); err != nil {
			return err
		}
		var printing error
		applied, err := s.migrate(ctx, progress{
			applied: func(m migrations.Migration) {
				printing = errors.Join(printing, c.printer().Migrated(m))
			},
			blocked: func(b postgres.Blocker) {
				fmt.Fprintf(c.err, "host: waiting for %s; to end it: SELECT pg_terminate_backend(%d)\n",
					output.Escape(b.String()), b.PID)
			},
		})
		if err == nil && len(applied) == 0 {
			printing = c.printer().NothingMigrated()
		}
		return errors.Join(printing, err)
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
