package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/booking-platform/booking-platform/cmd/host/config"
	"github.com/booking-platform/booking-platform/cmd/host/edge"
	"github.com/booking-platform/booking-platform/internal/embedded"
	"github.com/booking-platform/booking-platform/migrations"
)

// A read from Postgres that takes longer than this is given up; requests and steps end sooner by themselves.
const readLimit = 18 * time.Second

// How long a start waits for a database that is not up yet.
const databaseWait = 30 * time.Second

// storage is the database and, where the host runs it itself, its server.
type storage struct {
	url    string
	db     *sql.DB
	server *embedded.Server
}

// openStorage starts or finds the database and waits until it answers.
func openStorage(ctx context.Context, cfg config.Config, logger *slog.Logger) (*storage, error) {
	s := &storage{url: cfg.DatabaseURL}
	if cfg.Embedded {
		server, err := embedded.Start(ctx, cfg.DataDir, embedded.Options{Logger: logger, Repository: cfg.EmbeddedRepository})
		if err != nil {
			return nil, err
		}
		s.server, s.url = server, withBinary(server.URL())
	}
	return s.open(ctx, cfg, logger)
}

// openRunning opens the database of a host that runs here already on the same data folder: for a command beside it.
func openRunning(ctx context.Context, cfg config.Config, logger *slog.Logger) (*storage, error) {
	running, err := embedded.Running(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	return (&storage{url: withBinary(running)}).open(ctx, cfg, logger)
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

// open makes the pool, waits until the database answers, and sees that it is as the configuration says.
func (s *storage) open(ctx context.Context, cfg config.Config, logger *slog.Logger) (*storage, error) {
	db, err := openDB(s.url, servingLimits, readLimit)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.db = db
	db.SetMaxOpenConns(cfg.DatabasePool)
	db.SetMaxIdleConns(cfg.DatabasePool)
	db.SetConnMaxIdleTime(5 * time.Minute)
	// A standby that was promoted, or a server that was added, gets its share within the hour.
	db.SetConnMaxLifetime(time.Hour)
	if err := await(ctx, db, logger); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if err := look(ctx, db, cfg, logger); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// look warns of limits that the connections do not have, and refuses to go on without prepared statements that are asked for.
func look(ctx context.Context, db *sql.DB, cfg config.Config, logger *slog.Logger) error {
	missing, err := missingLimits(ctx, db)
	if err != nil {
		return fmt.Errorf("read the settings of the database: %w", err)
	}
	if missing != "" {
		logger.LogAttrs(ctx, slog.LevelWarn, "the database connections have no limit on time: ALTER ROLE … SET them, see docs/database.md",
			slog.String("settings", missing))
	}
	// Nothing stands in front of our own.
	if cfg.Embedded || !cfg.Prepare {
		return nil
	}
	return keepsPrepared(ctx, db)
}

// await asks until the database answers, because in compose and after a power cut everything starts at once.
func await(ctx context.Context, db *sql.DB, logger *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, databaseWait)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var last error
	for {
		try, done := context.WithTimeout(ctx, 5*time.Second)
		err := db.PingContext(try)
		done()
		if err == nil {
			return nil
		}
		// A try that the end of the wait cut short says nothing of the database; the one before it does.
		if ctx.Err() != nil && last != nil {
			err = last
		}
		last = err
		logger.LogAttrs(ctx, slog.LevelWarn, "waiting for the database", slog.String("error", err.Error()), slog.String("sqlstate", edge.SQLState(err)))
		select {
		case <-ctx.Done():
			return fmt.Errorf("the database does not answer: %w", err)
		case <-tick.C:
		}
	}
}

// migrate applies what the database lacks, through a connection of its own: a migration may take its time.
func (s *storage) migrate(ctx context.Context, logger *slog.Logger) ([]migrations.Migration, error) {
	db, err := openDB(s.url, migratingLimits, 0)
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
