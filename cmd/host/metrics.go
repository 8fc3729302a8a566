package main

import (
	"fmt"
	"log/slog"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/cmd/host/internal/metrics"
	"github.com/booking-platform/booking-platform/cmd/host/internal/middleware"
	"github.com/booking-platform/booking-platform/notify"
	"github.com/booking-platform/booking-platform/payments"
)

// listenForScrapes listens on METRICS_ADDR; nil if it is off. A configured address in use
// is an error. If the default is in use, as by a second host on one machine, there are no
// metrics.
func listenForScrapes(cfg config.Config, logger *slog.Logger) (*metrics.Server, error) {
	if cfg.Metrics.Address == "" {
		return nil, nil
	}
	server, err := metrics.Listen(cfg.Metrics.Address)
	if err == nil {
		return server, nil
	}
	if cfg.Metrics.Set {
		return nil, fmt.Errorf("%w; set METRICS_ADDR to a free address of this machine, or to off", err)
	}
	logger.Warn("no metrics: their default address is in use; set METRICS_ADDR to another, or to off",
		slog.String("error", err.Error()))
	return nil, nil
}

// useMetrics makes the metrics and connects them to their sources.
func (s *services) useMetrics() {
	steps := append(payments.Steps(), "booking.ReleaseExpired", "booking.CompletePast", "booking.ErasePast",
		"webhook.RetryWaiting", "webhook.DeleteOld", "auth.DeleteExpired")
	for _, step := range notify.Steps() {
		// Without a sender it does not run, and a series without a success is an alert.
		if step != "notify.Send" || s.mailServer != nil || s.mailbox != nil {
			steps = append(steps, step)
		}
	}
	s.metrics = metrics.New(metrics.Options{
		Version: versionOf(s.cfg.Version), DB: s.db, Webhook: s.receiver.Stats, Steps: steps,
		Results: payments.BookResults(), Maintenance: s.paused.isOn,
		Logger: s.logger, Replica: s.replica,
		Sources: metrics.Sources{
			Ready: s.ready.Check, Bookings: s.bookings.Backlog, Payments: s.payments.Backlog,
			Webhook: s.receiver.Ledger().Backlog, Messages: s.messageCounts,
		},
	})
	s.stats.OnAnswer(func(a middleware.Answered) { s.metrics.Request(a.Route, a.Method, a.Status, a.Took) })
}
