package metrics

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/booking-platform/booking-platform/cmd/host/internal/postgres"
	"github.com/booking-platform/booking-platform/notify"
	"github.com/booking-platform/booking-platform/webhook"
)

const prefix = "booking_"

// Options are the sources of the metrics; all but Logger are required.
type Options struct {
	Version string // Of the program.
	DB      *sql.DB
	Sources Sources
	Webhook func() webhook.Stats
	// Steps are the names of all background steps, and Results of all results of a hold
	// request: their series begin at zero.
	Steps, Results []string
	Maintenance    func() bool       // Reports whether the host sells nothing.
	Replica        *postgres.Replica // nil without a standby to read from.
	Logger         *slog.Logger      // nil discards.
}

// Metrics are the metrics of one host, in a registry of their own. It is safe for
// concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	logger   *slog.Logger
	requests *prometheus.HistogramVec
	holds    *prometheus.CounterVec
	messages *prometheus.CounterVec
	steps    steps
}

// New registers the metrics. It does not read the database.
func New(opts Options) *Metrics {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: prefix + "build_info", Help: "Always 1; the labels are the versions of the program and of Go.",
		ConstLabels: prometheus.Labels{"version": opts.Version, "go_version": runtime.Version()},
	})
	build.Set(1)
	maintenance := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: prefix + "maintenance", Help: "1 during maintenance, in which this host sells nothing.",
	}, func() float64 { return truth(opts.Maintenance()) })
	m := &Metrics{
		registry: prometheus.NewRegistry(), logger: opts.Logger,
		requests: newRequests(), holds: newHolds(opts.Results), messages: newMessages(), steps: newSteps(opts.Steps),
	}
	m.registry.MustRegister(build, maintenance, m.requests, m.holds, m.messages, m.steps.runs, m.steps.items,
		m.steps.success, m.steps.duration, deliveries{opts.Webhook}, replica{opts.Replica},
		newDatabase(opts.Sources, opts.Logger),
		collectors.NewDBStatsCollector(opts.DB, "booking_platform"), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// maxScrapes is the number of concurrent scrapes; more are answered 503.
const maxScrapes = 4

// Handler returns the handler of GET /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.ContinueOnError,
		ErrorLog:            slog.NewLogLogger(m.logger.Handler(), slog.LevelWarn),
		MaxRequestsInFlight: maxScrapes,
	})
}

// latencies are the buckets of requests, in seconds.
var latencies = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

func newRequests() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: prefix + "http_request_duration_seconds", Buckets: latencies,
		Help: "Requests by route template (none: no route), method and class of status (cut: the client disconnected).",
	}, []string{"route", "method", "status"})
}

// methods are the labels; all others are counted as other.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// Request counts a request. route is the template, not the path, or "". status is 0 if
// the client disconnected.
func (m *Metrics) Request(route, method string, status int, took time.Duration) {
	if route == "" {
		route = "none"
	}
	if !slices.Contains(methods, method) {
		method = "other"
	}
	class := "cut"
	if status >= 100 && status < 600 {
		class = strconv.Itoa(status/100) + "xx"
	}
	m.requests.WithLabelValues(route, method, class).Observe(took.Seconds())
}

func newHolds(results []string) *prometheus.CounterVec {
	holds := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: prefix + "holds_total", Help: "Hold requests by result.",
	}, []string{"result"})
	for _, result := range results {
		holds.WithLabelValues(result)
	}
	return holds
}

// Hold counts a hold request; result is one of Options.Results.
func (m *Metrics) Hold(result string) { m.holds.WithLabelValues(result).Inc() }

// steps are the metrics of background work.
type steps struct {
	runs, items *prometheus.CounterVec
	success     *prometheus.GaugeVec
	duration    *prometheus.HistogramVec
}

const (
	done   = "done"
	failed = "failed"
)

// newSteps creates all series at zero, so that an alert sees the first failure as a
// change.
func newSteps(names []string) steps {
	byStep := []string{"step"}
	s := steps{
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "step_runs_total",
			Help: "Runs of background steps by result: done or failed.",
		}, []string{"step", "result"}),
		items: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "step_items_total",
			Help: "Items processed by background steps: holds released, refunds made and so on.",
		}, byStep),
		success: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: prefix + "step_last_success_timestamp_seconds",
			Help: "Time of the last run of a background step without an error; 0 before the first.",
		}, byStep),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: prefix + "step_duration_seconds", Help: "Duration of runs of background steps.",
			Buckets: []float64{0.01, 0.1, 1, 5, 10, 30, 60},
		}, byStep),
	}
	for _, name := range names {
		s.runs.WithLabelValues(name, done)
		s.runs.WithLabelValues(name, failed)
		s.items.WithLabelValues(name)
		s.success.WithLabelValues(name)
		s.duration.WithLabelValues(name)
	}
	return s
}

// Step counts a run of a background step.
func (m *Metrics) Step(name string, took time.Duration, items int, err error) {
	m.steps.duration.WithLabelValues(name).Observe(took.Seconds())
	m.steps.items.WithLabelValues(name).Add(float64(max(items, 0)))
	if err != nil {
		m.steps.runs.WithLabelValues(name, failed).Inc()
		return
	}
	m.steps.runs.WithLabelValues(name, done).Inc()
	m.steps.success.WithLabelValues(name).SetToCurrentTime()
}

var (
	deliveriesDesc = desc("webhook_deliveries_total", "Deliveries to the webhook by outcome.", "outcome")
	reasonsDesc    = desc("webhook_reasons_total", "Rejected and ignored deliveries by reason.", "reason")
	signaturesDesc = desc("webhook_signatures_total",
		"Deliveries with a valid signature by position in STRIPE_WEBHOOK_SECRET, from 1.", "secret")
	versionsDesc = desc("webhook_other_version_total",
		"Deliveries with a valid signature and an unexpected API version.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prefix+name, help, labels, nil)
}

// deliveries exports the counters of the receiver.
type deliveries struct{ stats func() webhook.Stats }

// Describe implements prometheus.Collector.
func (deliveries) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{deliveriesDesc, reasonsDesc, signaturesDesc, versionsDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (d deliveries) Collect(ch chan<- prometheus.Metric) {
	s := d.stats()
	count := func(desc *prometheus.Desc, n int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), labels...)
	}
	for outcome, n := range map[webhook.Outcome]int64{
		webhook.Processed: s.Processed, webhook.Duplicate: s.Duplicates, webhook.Ignored: s.Ignored,
		webhook.Unmatched: s.Unmatched,
		webhook.Parked:    s.Parked, webhook.Failed: s.Errors, webhook.Rejected: s.Rejected,
	} {
		count(deliveriesDesc, n, string(outcome))
	}
	for reason, n := range s.Reasons {
		count(reasonsDesc, n, string(reason))
	}
	for i, n := range s.Secrets {
		count(signaturesDesc, n, strconv.Itoa(i+1))
	}
	count(versionsDesc, s.OtherVersion)
}

// Server serves GET /metrics and the profiles of net/http/pprof on an address that no
// public proxy forwards to.
type Server struct {
	listener net.Listener
	http     *http.Server
	served   chan error
}

// Listen listens on an address such as 127.0.0.1:9464. Requests are answered from
// [Server.Serve] on.
func Listen(address string) (*Server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return &Server{listener: listener}, nil
}

// URL returns the address of GET /metrics.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() + "/metrics" }

// Serve starts to answer requests, in the background.
func (s *Server) Serve(m *Metrics) {
	routes := http.NewServeMux()
	routes.Handle("GET /metrics", m.Handler())
	// They contain no values of variables, but can slow the host down.
	routes.HandleFunc("GET /debug/pprof/", pprof.Index)
	routes.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	routes.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	s.http = &http.Server{
		Handler:           routes,
		ReadHeaderTimeout: 2 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      time.Minute, // The longest profile.
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(m.logger.Handler(), slog.LevelWarn),
	}
	s.served = make(chan error, 1)
	go func() { s.served <- s.http.Serve(s.listener) }()
}

// Close waits up to three seconds for running scrapes.
func (s *Server) Close() error {
	if s.http == nil {
		return s.listener.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout+time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("metrics: scrapes did not finish: %w", err), s.http.Close())
	}
	if ended := <-s.served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("metrics: %w", ended))
	}
	return err
}

// messageResults are the results of package notify.
var messageResults = []notify.Result{notify.ResultSent, notify.ResultExpanded, notify.ResultDropped,
	notify.ResultRefused, notify.ResultFailed, notify.ResultUncertain}

func newMessages() *prometheus.CounterVec {
	messages := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: prefix + "messages_total", Help: "Attempts to send a message, by result.",
	}, []string{"result"})
	for _, result := range messageResults {
		messages.WithLabelValues(string(result))
	}
	return messages
}

// Message counts an attempt to send a message.
func (m *Metrics) Message(result string) { m.messages.WithLabelValues(result).Inc() }
