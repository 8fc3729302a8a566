package main

import (
	"context"
	"database/sql"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/gorilla/mux"
	"github.com/spf13/cobra"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/cmd/host/internal/postgres"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// Exports for the tests in package main_test.

type Host = host

// RunWith runs a command with this standard input.
var RunWith = run

// Run runs a command with an empty standard input.
func Run(ctx context.Context, args []string, environ map[string]string, stdout, stderr io.Writer) int {
	return run(ctx, args, environ, strings.NewReader(""), stdout, stderr)
}

// RootCommand is `host` with all its commands.
func RootCommand() *cobra.Command { return (&cli{}).rootCommand() }

// Start is serve up to its output.
func Start(ctx context.Context, environ map[string]string, stderr io.Writer) (*Host, error) {
	cfg, err := config.Load(environ)
	if err != nil {
		return nil, err
	}
	return start(ctx, cfg, newLogger(stderr, cfg))
}

func (h *host) Serve(ctx context.Context) error { return h.run(ctx) }
func (h *host) URL() string                     { return h.self }
func (h *host) Bookings() *booking.Store        { return h.bookings }
func (h *host) StripeFake() *stripetest.Server  { return h.stripeFake }
func (h *host) Open() int                       { return h.connections.Stats().Open }

func (h *host) Routes() *mux.Router {
	routes, err := h.routes()
	if err != nil {
		panic(err)
	}
	return routes
}

func (h *host) DB() *sql.DB { return h.storage.db }

// OpenMigrating opens a database for migrations.
func OpenMigrating(databaseURL string) (*sql.DB, error) {
	return postgres.Open(databaseURL, postgres.Migrating(), 0)
}

var CheckPreparedStatements = postgres.CheckPreparedStatements

// OpenDB opens a database as serve does.
func OpenDB(databaseURL string, wait time.Duration) (*sql.DB, error) {
	return postgres.Open(databaseURL, postgres.Serving(), wait)
}

// Await waits for a database, for as long as the context allows.
func Await(ctx context.Context, db *sql.DB, log io.Writer) error {
	return waitForDB(ctx, db, databaseWait, ping, func(error) error { return nil }, newLogger(log, config.Config{}))
}

// MetricsURL is "" if there are no metrics.
func (h *host) MetricsURL() string {
	if h.scrapes == nil {
		return ""
	}
	return h.scrapes.URL()
}

var (
	ListenForScrapes = listenForScrapes
	RaiseSQL         = raiseSQL
	NewLogger        = func(w io.Writer) *slog.Logger { return newLogger(w, config.Config{}) }
)

// Paused is the maintenance switch as a host follows it.
func Paused(db *sql.DB) (update func(context.Context) error, whileOff func(context.Context, func(context.Context))) {
	m := newMaintenance(db, slog.New(slog.DiscardHandler))
	return m.update, m.whileOff
}

// Close ends a host that does not serve.
func (h *host) Close() {
	_ = h.server.Close()
	_ = h.storage.close()
}

// LoggerOf is the logger of serve.
func LoggerOf(environ map[string]string, w io.Writer) (*slog.Logger, error) {
	cfg, err := config.Load(environ)
	return newLogger(w, cfg), err
}

// AdmitLinks is that of the host's limiter.
func (h *host) AdmitLinks(ctx context.Context, email string) error {
	return h.limiter.admitLinks(ctx, email)
}
