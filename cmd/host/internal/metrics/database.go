package metrics

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/notify"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

var (
	upDesc = desc("database_up",
		"1 if the metrics from the database could be read; if 0, they are missing.")
	readFailuresDesc = desc("database_read_failures_total", "Failed readings of the metrics from the database.")
	readyDesc        = desc("ready", "1 if this host is ready, as at /health/db.")
	eventsDesc       = desc("webhook_events_waiting", "Unsettled events in the ledger, of all hosts: failed and "+
		"unmatched (of Checkout Sessions) are retried, parked need an operator; unmatched_other may belong to "+
		"another product.", "outcome")
	oldestEventDesc = desc("webhook_oldest_waiting_seconds",
		"Age of the oldest event that failed, or is unmatched and about a Checkout Session; 0 if there is none.")
	lastProcessedDesc = desc("webhook_last_processed_timestamp_seconds",
		"Time of the last processed event, by any host; missing if none of the newest thousand was processed.")
	holdsOpenDesc    = desc("holds_open", "Holds that have not expired, of all hosts.")
	holdsExpiredDesc = desc("holds_expired",
		"Holds that have expired and are not released yet, of all hosts.")
	oldestExpiredDesc = desc("holds_oldest_expired_seconds",
		"Time since the oldest of them expired; 0 if there is none.")
	paymentsDesc      = desc("payments_waiting", "Unsettled payments by state, of all hosts.", "state")
	oldestPaymentDesc = desc("payments_oldest_waiting_seconds",
		"Time since the oldest of them entered the state; 0 if there is none.", "state")
	refundsDesc = desc("refunds_waiting", "Refunds that are not made, of all hosts: due, stuck (due, with "+
		"three failed attempts), pending at Stripe, failed or canceled.", "state")
	oldestRefundDesc = desc("refunds_oldest_waiting_seconds",
		"Time since the oldest of them entered the state; 0 if there is none.", "state")
	messagesDueDesc = desc("messages_due",
		"Messages that are due and not sent, of all hosts; 0 if this host sends none.")
	oldestMessageDesc = desc("messages_oldest_due_seconds",
		"Time since the oldest of them became due; 0 if there is none.")
	messagesRefusedDesc = desc("messages_refused", "Messages that were refused or given up and are kept, of all hosts.")
)

// database collects the metrics from the database.
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
		// Log only the first failure.
		if r.err != nil && !failing {
			logger.LogAttrs(context.Background(), slog.LevelWarn, "metrics: the database cannot be read",
				slog.String("error", r.err.Error()))
		}
		failing = r.err != nil
	}}
	return d
}

// Describe implements prometheus.Collector.
func (d *database) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		upDesc, readFailuresDesc, readyDesc, eventsDesc, oldestEventDesc, lastProcessedDesc, holdsOpenDesc,
		holdsExpiredDesc, oldestExpiredDesc,
		paymentsDesc, oldestPaymentDesc, refundsDesc, oldestRefundDesc,
		messagesDueDesc, oldestMessageDesc, messagesRefusedDesc,
	} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
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
	gauge(messagesDueDesc, float64(r.messages.Due))
	gauge(oldestMessageDesc, r.messages.Oldest.Seconds())
	gauge(messagesRefusedDesc, float64(r.messages.Refused))
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
		"pending": p.RefundsPending, "failed": p.RefundsFailed, "by_hand": p.RefundsByHand} {
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

const (
	// readTimeout bounds a reading of the database.
	readTimeout = 2 * time.Second
	// keepReading is how long a reading is reused, a failed one too.
	keepReading = 5 * time.Second
)

// Sources read the state of all hosts from the database, in one round trip each.
type Sources struct {
	Ready    func(context.Context) error // nil if this host is ready.
	Webhook  func(context.Context) (webhook.Backlog, error)
	Bookings func(context.Context) (booking.Backlog, error)
	Payments func(context.Context) (payments.Backlog, error)
	Messages func(context.Context) (notify.Counts, error)
}

type reading struct {
	ready    bool
	events   webhook.Backlog
	bookings booking.Backlog
	payments payments.Backlog
	messages notify.Counts
	err      error
}

func (s Sources) read(ctx context.Context) (r reading) {
	defer func() {
		if p := recover(); p != nil {
			r.err = fmt.Errorf("panic: %v", p)
		}
	}()
	if r.events, r.err = s.Webhook(ctx); r.err != nil {
		return r
	}
	if r.bookings, r.err = s.Bookings(ctx); r.err != nil {
		return r
	}
	if r.payments, r.err = s.Payments(ctx); r.err != nil {
		return r
	}
	r.messages, r.err = s.Messages(ctx)
	return r
}

// reader shares readings between scrapes.
type reader struct {
	sources Sources
	noted   func(reading) // Called once per reading.

	mu      sync.Mutex
	last    reading
	at      time.Time
	running chan struct{}
}

// read returns a reading that is at most keepReading old. It starts one if none is
// running, and returns after readTimeout whether it has finished or not.
func (r *reader) read() reading {
	r.mu.Lock()
	if r.running == nil && !r.at.IsZero() && time.Since(r.at) < keepReading {
		defer r.mu.Unlock()
		return r.last
	}
	if r.running == nil {
		r.running = make(chan struct{})
		go r.run(r.running)
	}
	running := r.running
	r.mu.Unlock()

	limit := time.NewTimer(readTimeout)
	defer limit.Stop()
	select {
	case <-running:
	case <-limit.C:
		return reading{err: context.DeadlineExceeded}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

func (r *reader) run(finished chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	// Concurrently, because both may take readTimeout.
	ready := make(chan bool, 1)
	go func() { ready <- r.sources.Ready(ctx) == nil }()
	found := r.sources.read(ctx)
	found.ready = <-ready
	r.noted(found)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.at, r.running = found, time.Now(), nil
	close(finished)
}
