package metrics

import (
	"database/sql"
	"log/slog"
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/booking-platform/booking-platform/webhook"
)

// prefix begins the name of every series that is ours.
const prefix = "booking_"

// Options are what the series are read from; all but Logger are required.
type Options struct {
	// Version is the program's.
	Version string
	// DB is the pool that is watched.
	DB *sql.DB
	// Sources read the database.
	Sources Sources
	// Webhook reads the counters of the receiver.
	Webhook func() webhook.Stats
	// Steps are the names of the steps that will run: each has its series from the start.
	Steps []string
	// Results are what can become of a wish for a slot; likewise.
	Results []string
	// Logger is told what cannot be read; nil discards it.
	Logger *slog.Logger
}

// Metrics are the series of one host. It is safe for concurrent use, and keeps its own
// registry, so that several can be in one process.
type Metrics struct {
	registry *prometheus.Registry
	logger   *slog.Logger
	requests *prometheus.HistogramVec
	holds    *prometheus.CounterVec
	steps    steps
}

// New makes the series. It asks the database nothing.
func New(opts Options) *Metrics {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: prefix + "build_info", Help: "1; the labels tell what runs.",
		ConstLabels: prometheus.Labels{"version": opts.Version, "go_version": runtime.Version()},
	})
	build.Set(1)
	m := &Metrics{
		registry: prometheus.NewRegistry(), logger: opts.Logger,
		requests: newRequests(), holds: newHolds(opts.Results), steps: newSteps(opts.Steps),
	}
	m.registry.MustRegister(build, m.requests, m.holds, m.steps.runs, m.steps.items, m.steps.success, m.steps.duration,
		deliveries{opts.Webhook}, newDatabase(opts.Sources, opts.Logger),
		collectors.NewDBStatsCollector(opts.DB, "booking_platform"), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// maxScrapes bounds how many scrapes are answered at once; more are answered 503.
const maxScrapes = 4

// Handler answers a scrape.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		// What can be read is worth more than nothing.
		ErrorHandling:       promhttp.ContinueOnError,
		ErrorLog:            slog.NewLogLogger(m.logger.Handler(), slog.LevelWarn),
		MaxRequestsInFlight: maxScrapes,
	})
}
