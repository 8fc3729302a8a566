package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/booking-platform/booking-platform/migrations"
)

func (c *cli) maintenanceCommand() *cobra.Command {
	var reason string
	on := c.jsonFlag(&cobra.Command{
		Use:   "on",
		Short: "Pause selling on all hosts of the database",
		Long: `Pause selling on all hosts of the database. They follow within seconds, and requests that they have
begun end within 25 seconds. Until 'host maintenance off', also across restarts:

  - nothing is booked, paid for, moved or cancelled, and customers see a page that says so (503);
  - Stripe's events are refused with 503: Stripe sends them again, and the hosts fetch them afterwards;
  - background steps pause: no refund is sent, and no hold expires.

Health checks, logins, staff's pages and all commands work.`,
		Example: "  host maintenance on --reason 'restoring the backup of 3 a.m.'",
		Args:    noArguments,
		RunE: c.action(func(ctx context.Context, _ []string) error {
			return c.changeMaintenance(ctx, maintenanceOnSQL, reason)
		}),
	})
	on.Flags().StringVar(&reason, "reason", "", "a `TEXT` for colleagues; customers do not see it")
	return c.group("maintenance", "Pause selling on all hosts", on,
		c.jsonFlag(&cobra.Command{
			Use:     "off",
			Short:   "Sell again",
			Example: "  host maintenance off",
			Args:    noArguments,
			RunE: c.action(func(ctx context.Context, _ []string) error {
				return c.changeMaintenance(ctx, maintenanceOffSQL)
			}),
		}),
		c.jsonFlag(&cobra.Command{
			Use:     "status",
			Short:   "Print whether selling is paused, since when and why",
			Example: "  host maintenance status",
			Args:    noArguments,
			RunE:    c.action(func(ctx context.Context, _ []string) error { return c.changeMaintenance(ctx, "") }),
		}))
}

// changeMaintenance runs a statement, unless it is empty, and prints the switch.
func (c *cli) changeMaintenance(ctx context.Context, statement string, args ...any) error {
	return c.withStorage(ctx, migrations.Host, func(s *storage) error {
		if statement != "" {
			if _, err := s.db.ExecContext(ctx, statement, args...); err != nil {
				return fmt.Errorf("write the maintenance switch: %w", err)
			}
		}
		state, err := readMaintenance(ctx, s.db)
		if err != nil {
			return err
		}
		return c.printer().Maintenance(state.On, state.Since, state.Reason)
	})
}
