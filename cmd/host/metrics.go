package main

import (
	"fmt"
	"log/slog"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/cmd/host/internal/metrics"
	"github.com/booking-platform/booking-platform/cmd/host/internal/middleware"
	"github.com/booking-platform/booking-platform/payments"
)

// listenForScrapes takes the address of METRICS_ADDR; nil where there is none. The
// default is taken where it is free: a second host on one machine starts without metrics
// rather than not at all. Who has set an address wants it.
func listenForScrapes(cfg config.Config, logger *slog.Logger) (*metrics.Server, error) {
	if cfg.Metrics.Address == "" {
		return nil, nil
	}
	server, err := metrics.Listen(cfg.Metrics.Address)
	if err == nil {
		return server, nil
	}
	if cfg.Metrics.Set {
		return nil, fmt.Errorf("take the address of METRICS_ADDR: %w", err)
	}
	logger.Warn("no metrics: their default address cannot be taken; METRICS_ADDR names another, or is off",
		slog.String("error", err.Error()))
	return nil, nil
}

// useMetrics makes the series, and has them told of what happens.
func (s *services) useMetrics() {
	steps := append(payments.Steps(), "booking.ReleaseExpired", "booking.CompletePast", "webhook.RetryWaiting",
		"webhook.DeleteOld", "auth.DeleteExpired")
	s.metrics = metrics.New(metrics.Options{
		Version: versionOf(s.cfg.Version), DB: s.db, Webhook: s.receiver.Stats, Steps: steps, Results: payments.BookResults(),
		Logger: s.logger,
		Sources: metrics.Sources{
			Ready: s.ready.Check, Bookings: s.bookings.Backlog, Payments: s.payments.Backlog,
			Webhook: s.receiver.Ledger().Backlog,
		},
	})
	s.stats.OnAnswer(func(a middleware.Answered) { s.metrics.Request(a.Route, a.Method, a.Status, a.Took) })
}
