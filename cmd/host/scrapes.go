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
func (r *rooms) useMetrics() {
	steps := append(payments.Steps(), "booking.ReleaseExpired", "booking.CompletePast", "webhook.RetryWaiting",
		"webhook.DeleteOld", "auth.DeleteExpired")
	r.metrics = metrics.New(metrics.Options{
		Version: versionOf(r.cfg.Version), DB: r.db, Webhook: r.receiver.Stats, Steps: steps, Results: payments.BookResults(),
		Logger: r.logger,
		Sources: metrics.Sources{
			Ready: r.ready.Check, Bookings: r.bookings.Backlog, Payments: r.payments.Backlog,
			Webhook: r.receiver.Ledger().Backlog,
		},
	})
	r.stats.OnAnswer(func(a middleware.Answered) { r.metrics.Request(a.Route, a.Method, a.Status, a.Took) })
}
