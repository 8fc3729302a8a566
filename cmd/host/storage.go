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
	"github.com/booking-platform/booking-platform/cmd/host/internal/postgres"
	"github.com/booking-platform/booking-platform/internal/embedded"
	"github.com/booking-platform/booking-platform/internal/pg"
)

const (
	// readTimeout bounds a read from Postgres. Requests and steps end sooner.
	readTimeout = 18 * time.Second
	// databaseWait is how long a start waits for a database that is not up yet.
	databaseWait = 30 * time.Second
	// databaseAttempt bounds one attempt.
	databaseAttempt = 5 * time.Second
	// waitLogEvery is how often the same error of a wait is logged.
	waitLogEvery = 10 * time.Second
	// waitLast is so little of a wait that an attempt within it fails for lack of time.
	waitLast = 100 * time.Millisecond
)

// storage is the database and, if it is embedded, its server.
type storage struct {
	url    string
	wait   time.Duration // For a database that does not answer; 0 is one attempt.
	db     *sql.DB
	server *embedded.Server
	// replica is nil without DATABASE_READ_URL, and in commands.
	replica *postgres.Replica
}

// openStorage opens the database, starts it if it is embedded, and waits until it
// answers.
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

// openRunning opens the embedded database of a host that is running on the same data
// folder.
func openRunning(ctx context.Context, cfg config.Config, wait time.Duration, logger *slog.Logger) (*storage, error) {
	running, err := embedded.Running(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	return (&storage{url: withBinary(running), wait: wait}).open(ctx, cfg, logger)
}

// withBinary sets binary_parameters, which saves a round trip per statement.
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

// open makes the pool, waits until the database answers, and checks it.
func (s *storage) open(ctx context.Context, cfg config.Config, logger *slog.Logger) (*storage, error) {
	db, err := postgres.Open(s.url, postgres.Serving(), readTimeout)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.db = db
	db.SetMaxOpenConns(cfg.DatabasePool)
	db.SetMaxIdleConns(cfg.DatabasePool)
	// Background steps of an idle host seldom overlap within a minute, so it keeps one or
	// two connections.
	db.SetConnMaxIdleTime(time.Minute)
	// So that connections move to a promoted or added server.
	db.SetConnMaxLifetime(time.Hour)
	if err := waitForDB(ctx, db, s.wait, ping, refusalOf(cfg), logger); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if err := checkLimits(ctx, db, cfg, logger); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// checkLimits warns of missing limits, and returns an error if DATABASE_PREPARE is set
// and prepared statements do not work.
func checkLimits(ctx context.Context, db *sql.DB, cfg config.Config, logger *slog.Logger) error {
	missing, err := postgres.MissingLimits(ctx, db)
	if err != nil {
		return fmt.Errorf("read the settings of the database: %w", err)
	}
	if missing != "" {
		logger.LogAttrs(ctx, slog.LevelWarn,
			"the database connections have no limit on time: ALTER ROLE … SET them, see docs/database.md",
			slog.String("settings", missing))
	}
	if cfg.Embedded || !cfg.Prepare {
		return nil
	}
	return postgres.CheckPreparedStatements(ctx, db)
}

// refusalOf recognises connection errors that do not go away, such as a wrong password.
func refusalOf(cfg config.Config) func(error) error {
	return func(err error) error {
		if p, refused := config.Refusal(err); refused && !cfg.Embedded {
			return config.Problems{p}
		}
		return nil
	}
}

func ping(ctx context.Context, db *sql.DB) error { return db.PingContext(ctx) }

// waitForDB repeats ask until it succeeds, because in compose and after a power cut
// everything starts at once. It returns an error of final at once. With limit 0 it asks
// once.
func waitForDB(ctx context.Context, db *sql.DB, limit time.Duration, ask func(context.Context, *sql.DB) error,
	final func(error) error, logger *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, max(limit, databaseAttempt))
	defer cancel()
	end, _ := ctx.Deadline()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var last error
	var said string
	var at time.Time
	for {
		try, done := context.WithTimeout(ctx, databaseAttempt)
		err := ask(try, db)
		done()
		if err == nil {
			return nil
		}
		if refused := final(err); refused != nil {
			return refused
		}
		// If the wait ended during this attempt, the error before it says more. A driver that
		// sets the deadline on the connection reports it a moment before the context does.
		if last != nil && (ctx.Err() != nil || time.Until(end) < waitLast) {
			err = last
		}
		last = err
		if limit == 0 {
			return fmt.Errorf("the database does not answer: %w", err)
		}
		if text := err.Error(); text != said || time.Since(at) >= waitLogEvery {
			said, at = text, time.Now()
			logger.LogAttrs(ctx, slog.LevelWarn, "waiting for the database", slog.String("error", text),
				slog.String("sqlstate", pg.SQLState(err)))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the database does not answer: %w", err)
		case <-tick.C:
		}
	}
}

var errStandby = errors.New("the server is a standby")

// waitUsable returns an error if the host cannot work with the server. It waits for a
// standby to be promoted.
func waitUsable(ctx context.Context, db *sql.DB, limit time.Duration, logger *slog.Logger) error {
	var fault *postgres.Fault
	err := waitForDB(ctx, db, limit, func(ctx context.Context, db *sql.DB) error {
		s, err := postgres.Read(ctx, db)
		if err != nil {
			return err
		}
		if fault = s.Unusable(); fault != nil && s.Standby {
			return fmt.Errorf("%w (%w)", errStandby, fault)
		}
		return nil
	}, func(error) error { return nil }, logger)
	if err == nil && fault != nil {
		return fmt.Errorf("the database cannot be used: %w", fault)
	}
	return err
}

// openReplica makes the pool of DATABASE_READ_URL, without connecting: the host starts
// and runs without the standby.
func (s *storage) openReplica(cfg config.Config, logger *slog.Logger) (err error) {
	if cfg.DatabaseReadURL != "" {
		s.replica, err = postgres.NewReplica(cfg.DatabaseReadURL, s.db, cfg.DatabasePool, readTimeout, logger)
	}
	return err
}

// close closes the pools and stops the embedded server.
func (s *storage) close() error {
	errs := []error{s.replica.Close()}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.server != nil {
		errs = append(errs, s.server.Stop())
	}
	return errors.Join(errs...)
}
