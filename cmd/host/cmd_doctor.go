package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/cmd/host/internal/doctor"
	"github.com/booking-platform/booking-platform/cmd/host/internal/output"
	"github.com/booking-platform/booking-platform/cmd/host/internal/postgres"
	"github.com/booking-platform/booking-platform/internal/embedded"
)

// doctorRead bounds a read from Postgres, so that a frozen server is a finding.
const doctorRead = 6 * time.Second

func (c *cli) doctorCommand() *cobra.Command {
	hosts := 2
	smoke := doctor.SmokeOptions{Say: func(line string) { fmt.Fprintln(c.err, output.Escape(output.OneLine(line))) }}
	cmd := c.jsonFlag(&cobra.Command{
		Use:   "doctor",
		Short: "Check the configuration, the database, Stripe and what needs attention",
		Long: `Check the configuration, the database, Stripe and what needs attention, beside a running host or
without one. Nothing is changed.

With --base, check a running host over HTTP instead. With --pay as well, in Stripe's test mode,
book a slot, pay for it, see it confirmed once, and cancel it.

Exit status: 1 if there is a problem, otherwise 0, even with warnings. docs/doctor.md explains each
finding.`,
		Example: `  host doctor
  APP_ENV=production host doctor          # from development: what going live would need
  host doctor --base https://booking.example.com
  host doctor --base http://127.0.0.1:3000 --pay --resource studio`,
		Args: noArguments,
		RunE: c.action(func(ctx context.Context, _ []string) error {
			switch {
			case smoke.Pay && smoke.Base == "":
				return usagef("--pay needs --base, the address of the host to pay at")
			case smoke.Resource != "" && !smoke.Pay:
				return usagef("--resource is for --pay")
			case smoke.Wait <= 0:
				return usagef("--wait %q: want more than 0, such as 10m", smoke.Wait)
			}
			return c.doctor(ctx, hosts, smoke)
		}),
	})
	flags := cmd.Flags()
	flags.Func("hosts", "at most `N` hosts run at once, also during a deployment (default 2)",
		func(s string) (err error) { hosts, err = parseCount(s, 1000); return err })
	flags.Func("base", "check the host at this `URL`",
		func(s string) (err error) { smoke.Base, err = parseBase(s); return err })
	flags.BoolVar(&smoke.Pay, "pay", false, "make a test payment")
	flags.StringVar(&smoke.Resource, "resource", "", "the `SLUG` of the resource to book, where there are several")
	flags.DurationVar(&smoke.Wait, "wait", 10*time.Minute, "how long a person has to pay, as a `DURATION`")
	return cmd
}

func parseBase(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" ||
		u.RawQuery != "" || u.User != nil {
		return "", errors.New("want scheme and host alone, such as https://booking.example.com")
	}
	return strings.TrimRight(s, "/"), nil
}

func (c *cli) doctor(ctx context.Context, hosts int, smoke doctor.SmokeOptions) error {
	cfg, problems := config.Read(c.environ)
	db, err := runningDB(cfg)
	if err != nil {
		return err
	}
	if db != nil {
		defer db.Close()
	}
	var found []doctor.Finding
	if smoke.Base != "" {
		smoke.StripeKey, smoke.DB = cfg.StripeSecretKey, db
		found = doctor.SmokeTest(ctx, smoke)
	} else {
		found = doctor.Examine(ctx, doctor.Options{
			Config: cfg, Problems: problems, DB: db, PoolSize: cfg.DatabasePool, Hosts: hosts,
		})
	}
	if err := c.printer().Findings(found); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("doctor: some checks were not made: %w", err)
	}
	if n := doctor.Count(found, doctor.Problem); n > 0 {
		return fmt.Errorf("doctor: %s", output.Plural(n, "problem"))
	}
	return nil
}

// runningDB opens the database without connecting. It starts no server: the result is nil
// where there is none.
func runningDB(cfg config.Config) (*sql.DB, error) {
	url := cfg.DatabaseURL
	if cfg.Embedded {
		running, err := embedded.Running(cfg.DataDir)
		if err != nil {
			return nil, nil
		}
		url = withBinary(running)
	}
	if url == "" {
		return nil, nil
	}
	db, err := postgres.Open(url, postgres.Settings{}, doctorRead)
	if err != nil {
		return nil, err
	}
	// The server may be short of connections.
	db.SetMaxOpenConns(2)
	return db, nil
}
