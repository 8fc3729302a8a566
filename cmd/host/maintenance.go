package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/mux"

	"github.com/booking-platform/booking-platform/cmd/host/internal/middleware"
	"github.com/booking-platform/booking-platform/internal/pg"
	"github.com/booking-platform/booking-platform/pages"
)

const (
	// maintenanceEvery is the pause between two reads of the switch.
	maintenanceEvery = 2 * time.Second
	// maintenanceRetry is the Retry-After of a refused request, in seconds.
	maintenanceRetry = "60"
)

const (
	maintenanceReadSQL = `SELECT since, reason FROM booking_platform.maintenance`
	maintenanceOnSQL   = `
INSERT INTO booking_platform.maintenance (reason) VALUES ($1::text)
ON CONFLICT (single) DO UPDATE SET reason = COALESCE(NULLIF(EXCLUDED.reason, ''), booking_platform.maintenance.reason)`
	maintenanceOffSQL = `DELETE FROM booking_platform.maintenance`
)

// maintenanceState is the row of the switch; the zero value is off.
type maintenanceState struct {
	On     bool
	Since  time.Time
	Reason string
}

// readMaintenance reads the switch, in one round trip.
func readMaintenance(ctx context.Context, db *sql.DB) (maintenanceState, error) {
	s := maintenanceState{On: true}
	err := db.QueryRowContext(ctx, maintenanceReadSQL).Scan(&s.Since, &s.Reason)
	if errors.Is(err, sql.ErrNoRows) {
		return maintenanceState{}, nil
	}
	if err != nil {
		return maintenanceState{}, fmt.Errorf("read the maintenance switch: %w", err)
	}
	s.Since = s.Since.UTC()
	return s, nil
}

// maintenance is what this host knows of the switch. A request costs no round trip: the
// switch is read every two seconds. While the database does not answer, the last state
// stays; nothing can be sold then.
type maintenance struct {
	db     *sql.DB
	logger *slog.Logger

	mu      sync.Mutex
	on      bool
	changed chan struct{} // Closed when on changes.
}

func newMaintenance(db *sql.DB, logger *slog.Logger) *maintenance {
	return &maintenance{db: db, logger: logger, changed: make(chan struct{})}
}

// state returns the last state, and a channel that is closed when it changes.
func (m *maintenance) state() (on bool, changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.on, m.changed
}

func (m *maintenance) isOn() bool {
	on, _ := m.state()
	return on
}

// update reads the switch.
func (m *maintenance) update(ctx context.Context) error {
	s, err := readMaintenance(ctx, m.db)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.on == s.On {
		return nil
	}
	m.on = s.On
	close(m.changed)
	m.changed = make(chan struct{})
	if s.On {
		m.logger.LogAttrs(ctx, slog.LevelWarn, "maintenance begins: nothing is sold, and background steps pause",
			slog.Time("since", s.Since), slog.String("reason", s.Reason))
		return nil
	}
	m.logger.LogAttrs(ctx, slog.LevelInfo, "maintenance ends")
	return nil
}

// follow reads the switch until ctx ends.
func (m *maintenance) follow(ctx context.Context) {
	tick := time.NewTicker(maintenanceEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		try, cancel := context.WithTimeout(ctx, databaseAttempt)
		err := m.update(try)
		cancel()
		if err != nil && !failing && ctx.Err() == nil {
			m.logger.LogAttrs(ctx, slog.LevelWarn, "the maintenance switch cannot be read",
				slog.String("error", err.Error()), slog.String("sqlstate", pg.SQLState(err)))
		}
		failing = err != nil
	}
}

// whileOff runs do until ctx ends, interrupted while the switch is on.
func (m *maintenance) whileOff(ctx context.Context, do func(context.Context)) {
	for {
		on, changed := m.state()
		var running sync.WaitGroup
		doing, stop := context.WithCancel(ctx)
		if !on {
			running.Go(func() { do(doing) })
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
		stop()
		running.Wait()
		if ctx.Err() != nil {
			return
		}
	}
}

var (
	// refusedReads are for customers: they would show slots as free that may be sold, or
	// offer what is refused.
	refusedReads = []string{"/", "/success", "/cancel", "/booking/cancel", "/booking/move",
		"/api/resources/{resource}/availability", "/api/resources/{resource}/next"}
	// allowedWrites change nothing that a restore could lose.
	allowedWrites = []string{"/login", "/logout", "/auth/login", "/auth/logout", "/stripe/"}
)

// refuse answers 503 during maintenance, except to health checks, reads of staff, logins
// and files. Stripe sends a refused event again, and the host fetches it afterwards.
func (m *maintenance) refuse(p *pages.Pages) mux.MiddlewareFunc {
	var html []string
	for _, r := range p.Routes() {
		html = append(html, r.Path)
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !m.isOn() {
				next.ServeHTTP(w, r)
				return
			}
			// Every route of the host has a template.
			template, _ := mux.CurrentRoute(r).GetPathTemplate()
			reads := r.Method == http.MethodGet || r.Method == http.MethodHead
			if reads && !slices.Contains(refusedReads, template) || slices.Contains(allowedWrites, template) {
				next.ServeHTTP(w, r)
				return
			}
			middleware.SetPlanned(r.Context())
			w.Header().Set("Retry-After", maintenanceRetry)
			if slices.Contains(html, template) {
				p.Maintenance(w, r)
				return
			}
			middleware.WriteError(w, r, http.StatusServiceUnavailable, "maintenance", nil)
		})
	}
}
