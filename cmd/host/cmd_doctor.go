package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/cmd/host/internal/doctor"
	"github.com/booking-platform/booking-platform/internal/embedded"
)

// doctorRead bounds a read from Postgres. A server that is frozen is a finding, not a
// wait.
const doctorRead = 6 * time.Second

// doctorCommand does `host doctor`.
func doctorCommand(ctx context.Context, args []string, environ map[string]string, std streams) error {
	flags := quietFlags("doctor")
	asJSON := flags.Bool("json", false, "")
	hosts := 2
	flags.Func("hosts", "", func(s string) (err error) { hosts, err = readCount(s, 1000); return err })
	visit := doctor.VisitOptions{Say: func(line string) { fmt.Fprintln(std.err, printable(line)) }}
	flags.Func("base", "", func(s string) error {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" ||
			u.RawQuery != "" || u.User != nil {
			return errMisunderstood
		}
		visit.Base = strings.TrimRight(s, "/")
		return nil
	})
	flags.BoolVar(&visit.Pay, "pay", false, "")
	flags.StringVar(&visit.Resource, "resource", "", "")
	flags.DurationVar(&visit.Wait, "wait", 10*time.Minute, "")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 || visit.Pay && visit.Base == "" ||
		visit.Resource != "" && !visit.Pay || visit.Wait <= 0 {
		return errMisunderstood
	}
	cfg, problems := config.Read(environ)
	db, err := besideDB(cfg)
	if err != nil {
		return err
	}
	if db != nil {
		defer db.Close()
	}
	var found []doctor.Finding
	if visit.Base != "" {
		visit.StripeKey, visit.DB = cfg.StripeSecretKey, db
		found = doctor.Visit(ctx, visit)
	} else {
		found = doctor.Examine(ctx, doctor.Options{
			Config: cfg, Problems: problems, DB: db, PoolSize: cfg.DatabasePool, Hosts: hosts,
		})
	}
	if err := printFindings(std.out, found, *asJSON); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("doctor: not all was examined: %w", err)
	}
	if n := doctor.Count(found, doctor.Problem); n > 0 {
		return fmt.Errorf("doctor: %s", counted(n, "problem"))
	}
	return nil
}

// besideDB opens the database of a host, which may run or not, and starts none: nil where
// there is none to open. Nobody is asked yet.
func besideDB(cfg config.Config) (*sql.DB, error) {
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
	db, err := openDB(url, settings{}, doctorRead)
	if err != nil {
		return nil, err
	}
	// One check after the other asks, and a pool that is nearly used up is no place for a
	// crowd.
	db.SetMaxOpenConns(2)
	return db, nil
}

// printFindings writes one finding to a line, or, for people, with its remedy below it
// and a sum at the end.
func printFindings(out io.Writer, found []doctor.Finding, asJSON bool) error {
	if asJSON {
		lines := json.NewEncoder(out)
		lines.SetEscapeHTML(false)
		for _, f := range found {
			if err := lines.Encode(f); err != nil {
				return err
			}
		}
		return nil
	}
	var errs []error
	say := func(format string, args ...any) {
		_, err := fmt.Fprintf(out, format, args...)
		errs = append(errs, err)
	}
	for _, f := range found {
		say("%-7s  %s: %s\n", f.Level, f.Name, printable(f.Found))
		if f.Remedy != "" {
			say("         -> %s\n", printable(f.Remedy))
		}
	}
	say("\n%s, %s; docs/doctor.md explains each\n", counted(doctor.Count(found, doctor.Problem), "problem"),
		counted(doctor.Count(found, doctor.Warning), "warning"))
	return errors.Join(errs...)
}

// printable keeps what came from outside on one line, and from being obeyed by a
// terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
