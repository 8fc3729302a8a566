package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/cmd/host/internal/metrics"
	"github.com/booking-platform/booking-platform/cmd/host/internal/middleware"
	"github.com/booking-platform/booking-platform/cmd/host/internal/postgres"
	"github.com/booking-platform/booking-platform/migrations"
)

const (
	// shutdownTimeout is how long requests may continue after a signal.
	shutdownTimeout = 15 * time.Second
	// clientTimeout is how long a connection may wait for its client during a shutdown.
	clientTimeout = 5 * time.Second
	// stepsTimeout is how long background steps may continue after the last request.
	stepsTimeout = 5 * time.Second
)

// host is a host that is ready to serve.
type host struct {
	*services
	server      *http.Server
	answers     *startingHandler
	served      chan error // Has the error of server.Serve.
	connections *middleware.Connections
	storage     *storage
	scrapes     *metrics.Server // nil if METRICS_ADDR is off.
	self        string          // The local address.
}

// newLogger returns the logger of serve: text on a terminal in development, and JSON
// otherwise, unless LOG_FORMAT says which.
func newLogger(w io.Writer, cfg config.Config) *slog.Logger {
	opts := &slog.HandlerOptions{Level: cfg.LogLevel}
	file, isFile := w.(*os.File)
	terminal := isFile && term.IsTerminal(int(file.Fd()))
	if cfg.LogFormat == config.LogText || cfg.LogFormat == "" && !cfg.Production && terminal {
		return slog.New(middleware.LogHandler(slog.NewTextHandler(w, opts)))
	}
	return slog.New(middleware.LogHandler(slog.NewJSONHandler(middleware.LogWriter(w), opts)))
}

// serve starts the host and serves until the context ends.
func serve(ctx context.Context, environ map[string]string, stdout, stderr io.Writer) error {
	cfg, err := config.Load(environ)
	if err != nil {
		return err
	}
	logger := newLogger(stderr, cfg)
	h, err := start(ctx, cfg, logger)
	if err != nil && ctx.Err() != nil {
		logger.Info("stopped before it was ready", slog.String("reason", context.Cause(ctx).Error()),
			slog.String("error", err.Error()))
		return nil
	}
	if err != nil {
		return err
	}
	if !cfg.Production {
		note := "Ctrl-C stops it"
		if h.stripeFake != nil {
			note = "no money moves: Stripe is a built-in stand-in; " + note
		}
		fmt.Fprintf(stdout, "booking-platform is at %s (%s)\n", h.self, note)
	}
	return h.run(ctx)
}

// start returns a host that is ready to serve. It listens first, because a port in use is
// the most likely mistake, and answers health checks while it waits for the database.
func start(ctx context.Context, cfg config.Config, logger *slog.Logger) (*host, error) {
	listener, err := listen(cfg)
	if err != nil {
		return nil, err
	}
	h := &host{self: selfURL(cfg.Host, listener), served: make(chan error, 1)}
	if h.scrapes, err = listenForScrapes(cfg, logger); err != nil {
		_ = listener.Close()
		return nil, err
	}
	clientIP := middleware.NewClientIP(cfg.TrustProxy.Count, cfg.TrustProxy.Networks)
	h.connections = middleware.NewConnections(middleware.ConnectionOptions{Max: cfg.MaxConnections, ClientIP: clientIP})
	if h.answers, err = newStartingHandler(middleware.Options{Logger: logger, ClientIP: clientIP}); err == nil {
		h.server = middleware.NewServer(h.answers, h.connections, logger)
		go func() { h.served <- h.server.Serve(h.connections.Listener(listener)) }()
		err = h.prepare(ctx, cfg, clientIP, logger)
	}
	if err != nil {
		_ = listener.Close()
		if h.server != nil {
			_ = h.server.Close()
		}
		if h.scrapes != nil {
			_ = h.scrapes.Close()
		}
		if h.storage != nil {
			err = errors.Join(err, h.storage.close())
		}
		return nil, err
	}
	return h, nil
}

func (h *host) prepare(ctx context.Context, cfg config.Config, clientIP *middleware.ClientIP,
	logger *slog.Logger) (err error) {
	if h.storage, err = openStorage(ctx, cfg, databaseWait, logger); err != nil {
		return err
	}
	if err = waitUsable(ctx, h.storage.db, databaseWait, logger); err != nil {
		return err
	}
	if _, err = h.storage.migrate(ctx, progress{
		applied: func(m migrations.Migration) { logger.Info("migration applied", slog.String("file", m.File)) },
		blocked: func(b postgres.Blocker) {
			logger.Warn("migrations wait for another session", slog.Int("pid", b.PID),
				slog.String("application", b.Application), slog.String("state", b.State),
				slog.Int64("age_ms", b.For.Milliseconds()), slog.String("query", b.Query))
		},
	}); err != nil {
		return err
	}
	if err = h.storage.openReplica(cfg, logger); err != nil {
		return err
	}
	if h.services, err = newServices(cfg, h.storage.db, h.storage.replica, h.self, logger); err != nil {
		return err
	}
	h.clientIP = clientIP
	if err = h.paused.update(ctx); err != nil {
		return err
	}
	if !cfg.Production {
		if err = addSample(ctx, h.bookings); err != nil {
			return fmt.Errorf("add the sample resource: %w", err)
		}
	}
	if cfg.AdminEmail != "" {
		created, err := h.users.EnsureAdmin(ctx, cfg.AdminEmail, cfg.AdminPassword)
		if err != nil {
			return fmt.Errorf("create the admin of ADMIN_EMAIL: %w", err)
		}
		if created {
			logger.Info("admin created")
		}
	}
	handler, err := h.handler()
	if err != nil {
		return err
	}
	h.answers.ready(handler)
	return nil
}

func listen(cfg config.Config) (net.Listener, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)))
	// 10048 is the error of Windows.
	if errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.Errno(10048)) {
		return nil, fmt.Errorf("port %d is in use, by another host or another program; stop that one, or choose "+
			"another port: PORT=%d go run ./cmd/host", cfg.Port, cfg.Port%65535+1)
	}
	if err != nil {
		return nil, fmt.Errorf("take the address that BIND_ADDRESS and PORT name: %w", err)
	}
	return listener, nil
}

// selfURL is the local address of the listener.
func selfURL(bound string, listener net.Listener) string {
	port := listener.Addr().(*net.TCPAddr).Port
	return "http://" + net.JoinHostPort(reachable(bound), strconv.Itoa(port))
}

// run serves until the context ends. It then shuts down in order: readiness fails,
// requests and background steps finish, the metrics end, and the database is closed.
func (h *host) run(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	stepping, stopSteps := context.WithCancel(background)
	defer stopSteps()
	var running sync.WaitGroup
	running.Go(func() { h.background(stepping) })
	if h.stripeFake != nil {
		running.Go(func() {
			if err := h.stripeFake.Run(background); err != nil && background.Err() == nil {
				h.logger.Error("the Stripe stand-in ended", slog.String("error", err.Error()))
			}
		})
	}
	if h.scrapes != nil {
		h.scrapes.Serve(h.metrics)
		h.logger.Info("metrics", slog.String("address", h.scrapes.URL()))
	}
	h.logger.Info("serving", slog.String("address", h.self), slog.String("version", versionOf(h.cfg.Version)),
		slog.Bool("production", h.cfg.Production), slog.Bool("stripe_stand_in", h.stripeFake != nil))

	var err error
	select {
	case err = <-h.served:
	case <-ctx.Done():
		h.logger.Info("shutting down", slog.String("reason", context.Cause(ctx).Error()),
			slog.Int64("grace_ms", h.cfg.ShutdownGrace.Milliseconds()))
		err = h.shutdown(context.WithoutCancel(ctx), stopSteps)
	}
	stop()
	if !waitTimeout(stepsTimeout, running.Wait) {
		// The database hangs. Their transactions are rolled back.
		h.logger.Warn("background steps did not stop in time")
	}
	// A scrape reads the database, and is possible up to here.
	if h.scrapes != nil {
		err = errors.Join(err, h.scrapes.Close())
	}
	if closeErr := h.storage.close(); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("close the database: %w", closeErr))
	}
	h.logger.Info("stopped")
	return err
}

// shutdown fails readiness for SHUTDOWN_GRACE, so that a balancer notices, and then waits
// for requests.
func (h *host) shutdown(ctx context.Context, stopSteps func()) error {
	h.ready.Drain()
	time.Sleep(h.cfg.ShutdownGrace)
	stopSteps()
	ctx, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	go h.closeSlow(ctx)
	if err := h.server.Shutdown(ctx); err != nil {
		_ = h.server.Close()
		return fmt.Errorf("requests did not finish within %s: %w", shutdownTimeout, err)
	}
	return nil
}

// closeSlow closes connections that wait for their clients, until the context ends.
func (h *host) closeSlow(ctx context.Context) {
	tick := time.NewTicker(clientTimeout / 10)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if n := h.connections.CutWaiting(clientTimeout); n > 0 {
				h.logger.Info("slow connections closed", slog.Int("count", n))
			}
		}
	}
}

// waitTimeout reports whether f returned in time.
func waitTimeout(limit time.Duration, f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
		return true
	case <-time.After(limit):
		return false
	}
}
