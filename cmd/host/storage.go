package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/lib/pq"

	"github.com/booking-platform/booking-platform/cmd/host/config"
	"github.com/booking-platform/booking-platform/internal/embedded"
	"github.com/booking-platform/booking-platform/migrations"
)

// The pool of one host. Three hosts and an operator stay below the 100 connections that Postgres has by default.
const poolSize = 20

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
	return s.open(ctx, logger)
}

// openRunning opens the database of a host that runs here already on the same data folder: for a command beside it.
func openRunning(ctx context.Context, cfg config.Config, logger *slog.Logger) (*storage, error) {
	running, err := embedded.Running(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	return (&storage{url: withBinary(running)}).open(ctx, logger)
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

// open makes the pool and waits until the database answers.
func (s *storage) open(ctx context.Context, logger *slog.Logger) (*storage, error) {
	db, err := openDB(s.url, readLimit)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.db = db
	db.SetMaxOpenConns(poolSize)
	db.SetMaxIdleConns(poolSize)
	db.SetConnMaxIdleTime(5 * time.Minute)
	// A standby that was promoted, or a server that was added, gets its share within the hour.
	db.SetConnMaxLifetime(time.Hour)
	if err := await(ctx, db, logger); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// openDB makes a pool; limit bounds each read, and 0 is no limit.
func openDB(url string, limit time.Duration) (*sql.DB, error) {
	connector, err := pq.NewConnector(url)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	if limit > 0 {
		connector.Dialer(dialer{limit})
	}
	return sql.OpenDB(connector), nil
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
		logger.LogAttrs(ctx, slog.LevelWarn, "waiting for the database", slog.String("error", err.Error()))
		select {
		case <-ctx.Done():
			return fmt.Errorf("the database does not answer: %w", err)
		case <-tick.C:
		}
	}
}

// migrate applies what the database lacks, through a connection of its own: a migration may take its time.
func (s *storage) migrate(ctx context.Context, logger *slog.Logger) ([]migrations.Migration, error) {
	db, err := openDB(s.url, 0)
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
