package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/cmd/host/internal/middleware"
	"github.com/booking-platform/booking-platform/cmd/host/internal/postgres"
	"github.com/booking-platform/booking-platform/internal/embedded"
	"github.com/booking-platform/booking-platform/migrations"
)

// A read from Postgres that takes longer than this is given up; requests and steps end
// sooner by themselves.
const readLimit = 18 * time.Second

// How long a start waits for a database that is not up yet.
const databaseWait = 30 * time.Second

// databaseAttempt bounds one attempt.
const databaseAttempt = 5 * time.Second

// storage is the database and, where the host runs it itself, its server.
type storage struct {
	url string
	// wait is how long to wait for a database that does not answer; 0 is one attempt.
	wait   time.Duration
	db     *sql.DB
	server *embedded.Server
}

// openStorage starts or finds the database and waits until it answers; wait 0 is one
// attempt.
func openStorage(ctx context.Context, cfg config.Config, wait time.Duration, logger *slog.Logger) (*storage, error) {
	s := &storage{url: cfg.DatabaseURL, wait: wait}
	for _, w := range cfg.DatabaseWarnings {
		logger.LogAttrs(ctx, slog.LevelWarn, w)
	}
	if cfg.Embedded {
		server, err := embedded.Start(ctx, cfg.DataDir,
			embedded.Options{Logger: logger, Repository: cfg.EmbeddedRepository})
		if err != nil {
			return nil, err
		}
		s.server, s.url = server, withBinary(server.URL())
	}
	return s.open(ctx, cfg, logger)
}

// openRunning opens the database of a host that runs here already on the same data
// folder: for a command beside it.
func openRunning(ctx context.Context, cfg config.Config, wait time.Duration, logger *slog.Logger) (*storage, error) {
	running, err := embedded.Running(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	return (&storage{url: withBinary(running), wait: wait}).open(ctx, cfg, logger)
}

// withBinary saves one round trip for each statement, as DATABASE_URL gets it too.
func withBinary(databaseURL string) string {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return databaseURL
	}
	query := u.Query()
	query.Set("binary_parameters", "yes")
	u.RawQuery = query.Encode()
	return u.String()
}

// open makes the pool, waits until the database answers, and sees that it is as the
// configuration says.
func (s *storage) open(ctx context.Context, cfg config.Config, logger *slog.Logger) (*storage, error) {
	db, err := openDB(s.url, servingSettings, readLimit)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.db = db
	db.SetMaxOpenConns(cfg.DatabasePool)
	db.SetMaxIdleConns(cfg.DatabasePool)
	db.SetConnMaxIdleTime(5 * time.Minute)
	// A standby that was promoted, or a server that was added, gets its share within the
	// hour.
	db.SetConnMaxLifetime(time.Hour)
	if err := await(ctx, db, s.wait, ping, refusalOf(cfg), logger); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if err := look(ctx, db, cfg, logger); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// look warns of limits that the connections do not have, and refuses to go on without
// prepared statements that are asked for.
func look(ctx context.Context, db *sql.DB, cfg config.Config, logger *slog.Logger) error {
	missing, err := missingLimits(ctx, db)
	if err != nil {
		return fmt.Errorf("read the settings of the database: %w", err)
	}
	if missing != "" {
		logger.LogAttrs(ctx, slog.LevelWarn,
			"the database connections have no limit on time: ALTER ROLE … SET them, see docs/database.md",
			slog.String("settings", missing))
	}
	// Nothing stands in front of our own.
	if cfg.Embedded || !cfg.Prepare {
		return nil
	}
	return keepsPrepared(ctx, db)
}

// refusalOf recognises an error that a repeat would give again. The embedded server's own
// are told by the package that runs it.
func refusalOf(cfg config.Config) func(error) error {
	return func(err error) error {
		if p, refused := config.Refusal(err); refused && !cfg.Embedded {
			return config.Problems{p}
		}
		return nil
	}
}

func ping(ctx context.Context, db *sql.DB) error { return db.PingContext(ctx) }

// await asks until the database answers, because in compose and after a power cut
// everything starts at once. An error that final makes something of ends the wait with
// that. With limit 0 it asks once.
func await(ctx context.Context, db *sql.DB, limit time.Duration, ask func(context.Context, *sql.DB) error,
	final func(error) error, logger *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, max(limit, databaseAttempt))
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var last error
	for {
		try, done := context.WithTimeout(ctx, databaseAttempt)
		err := ask(try, db)
		done()
		if err == nil {
			return nil
		}
		if end := final(err); end != nil {
			return end
		}
		// A try that the end of the wait cut short says nothing of the database; the one
		// before it does.
		if ctx.Err() != nil && last != nil {
			err = last
		}
		last = err
		if limit == 0 {
			return fmt.Errorf("the database does not answer: %w", err)
		}
		logger.LogAttrs(ctx, slog.LevelWarn, "waiting for the database", slog.String("error", err.Error()),
			slog.String("sqlstate", middleware.SQLState(err)))
		select {
		case <-ctx.Done():
			return fmt.Errorf("the database does not answer: %w", err)
		case <-tick.C:
		}
	}
}

// errStandby is a server that may be promoted yet.
var errStandby = errors.New("the server is a standby")

// fit returns when the server can be worked with: a standby is given the time to be
// promoted, and what else does not do is an error at once.
func fit(ctx context.Context, db *sql.DB, limit time.Duration, logger *slog.Logger) error {
	var unfit *postgres.Fault
	err := await(ctx, db, limit, func(ctx context.Context, db *sql.DB) error {
		s, err := postgres.Read(ctx, db)
		if err != nil {
			return err
		}
		if unfit = s.Unfit(); unfit != nil && s.Standby {
			return fmt.Errorf("%w (%w)", errStandby, unfit)
		}
		return nil
	}, func(error) error { return nil }, logger)
	if err == nil && unfit != nil {
		return fmt.Errorf("the database cannot be used: %w", unfit)
	}
	return err
}

// migrate sees that the database can be worked with, and applies what it lacks, through a
// connection of its own: a migration may take its time.
func (s *storage) migrate(ctx context.Context, logger *slog.Logger) ([]migrations.Migration, error) {
	if err := fit(ctx, s.db, s.wait, logger); err != nil {
		return nil, err
	}
	db, err := openDB(s.url, migratingSettings, 0)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	applied, err := migrations.Up(ctx, db, migrations.All)
	for _, m := range applied {
		logger.LogAttrs(ctx, slog.LevelInfo, "migration applied", slog.String("file", m.File))
	}
	return applied, err
}

// close ends the pool and the host's own server.
func (s *storage) close() error {
	var errs []error
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.server != nil {
		errs = append(errs, s.server.Stop())
	}
	return errors.Join(errs...)
}
