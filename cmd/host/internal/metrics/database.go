package metrics

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/booking-platform/booking-platform/payments"
)

var (
	upDesc = desc("database_up",
		"1 where the series that come from the database could be read; 0 where not, and then they are missing.")
	readFailuresDesc  = desc("database_read_failures_total", "Readings of those series that failed.")
	readyDesc         = desc("ready", "1 where this host says at /health/db that it is ready.")
	eventsDesc        = desc("webhook_events_waiting", "Events in the ledger that can still change, of all hosts: failed and unmatched (of Checkout Sessions) are tried again, parked wait for a person; unmatched_other may be another product's.", "outcome")
	oldestEventDesc   = desc("webhook_oldest_waiting_seconds", "How long ago the oldest event came that failed, or is about a Checkout Session and unmatched; 0 where there is none.")
	lastProcessedDesc = desc("webhook_last_processed_timestamp_seconds",
		"When an event was last processed, by any host; missing where none was among the newest thousand.")
	holdsOpenDesc    = desc("holds_open", "Holds that keep their slots from others, of all hosts.")
	holdsExpiredDesc = desc("holds_expired",
		"Holds whose time has passed and that were not released yet, of all hosts.")
	oldestExpiredDesc = desc("holds_oldest_expired_seconds",
		"How long ago the time of the oldest of them passed; 0 where there is none.")
	paymentsDesc      = desc("payments_waiting", "Payments that are not settled, of all hosts: overdue, processing, parked, disputed, refunds_unknown, and other_accounts.", "state")
	oldestPaymentDesc = desc("payments_oldest_waiting_seconds",
		"For how long the oldest of them has been that; 0 where there is none.", "state")
	refundsDesc      = desc("refunds_waiting", "Refunds that are not made, of all hosts: due, stuck (due, and tried three times in vain), pending (on their way), failed (or canceled).", "state")
	oldestRefundDesc = desc("refunds_oldest_waiting_seconds",
		"For how long the oldest of them has been that; 0 where there is none.", "state")
)

// database collects what the database knows, and whether it answers.
type database struct {
	reader   reader
	failures atomic.Int64
}

func newDatabase(sources Sources, logger *slog.Logger) *database {
	d := &database{}
	failing := false
	d.reader = reader{sources: sources, noted: func(r reading) {
		if r.err != nil {
			d.failures.Add(1)
		}
		// Once when it begins, not with every scrape.
		if r.err != nil && !failing {
			logger.LogAttrs(context.Background(), slog.LevelWarn, "metrics: the database cannot be read",
				slog.String("error", r.err.Error()))
		}
		failing = r.err != nil
	}}
	return d
}

// Describe names the series.
func (d *database) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		upDesc, readFailuresDesc, readyDesc, eventsDesc, oldestEventDesc, lastProcessedDesc, holdsOpenDesc,
		holdsExpiredDesc, oldestExpiredDesc,
		paymentsDesc, oldestPaymentDesc, refundsDesc, oldestRefundDesc,
	} {
		ch <- desc
	}
}

// Collect reads them.
func (d *database) Collect(ch chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	r := d.reader.read()
	gauge(readyDesc, truth(r.ready))
	gauge(upDesc, truth(r.err == nil))
	ch <- prometheus.MustNewConstMetric(readFailuresDesc, prometheus.CounterValue, float64(d.failures.Load()))
	if r.err != nil {
		return
	}
	gauge(eventsDesc, float64(r.events.Failed), "failed")
	gauge(eventsDesc, float64(r.events.UnmatchedSessions), "unmatched")
	gauge(eventsDesc, float64(r.events.Unmatched-r.events.UnmatchedSessions), "unmatched_other")
	gauge(eventsDesc, float64(r.events.Parked), "parked")
	gauge(oldestEventDesc, r.events.Age.Seconds())
	if at := r.events.LastProcessed; !at.IsZero() {
		gauge(lastProcessedDesc, float64(at.UnixMilli())/1000)
	}
	gauge(holdsOpenDesc, float64(r.bookings.Open))
	gauge(holdsExpiredDesc, float64(r.bookings.Expired))
	gauge(oldestExpiredDesc, r.bookings.Age.Seconds())
	p := r.payments
	for state, w := range map[string]payments.BacklogCount{
		"overdue": p.Overdue, "processing": p.Processing, "parked": p.Parked, "disputed": p.Disputed,
		"refunds_unknown": p.RefundsUnknown,
		"other_accounts":  p.OtherAccounts,
	} {
		gauge(paymentsDesc, float64(w.Count), state)
		gauge(oldestPaymentDesc, w.Age.Seconds(), state)
	}
	for state, w := range map[string]payments.BacklogCount{"due": p.RefundsDue, "stuck": p.RefundsStuck,
		"pending": p.RefundsPending, "failed": p.RefundsFailed} {
		gauge(refundsDesc, float64(w.Count), state)
		gauge(oldestRefundDesc, w.Age.Seconds(), state)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
