package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// steps are the series of what is done beside the requests.
type steps struct {
	runs, items *prometheus.CounterVec
	success     *prometheus.GaugeVec
	duration    *prometheus.HistogramVec
}

const (
	done   = "done"
	failed = "failed"
)

// newSteps gives each step its series at zero, so that an alarm sees the first failure as
// a change.
func newSteps(names []string) steps {
	byStep := []string{"step"}
	s := steps{
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "step_runs_total",
			Help: "Runs of a background step, by what became of them: done or failed.",
		}, []string{"step", "result"}),
		items: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "step_items_total",
			Help: "What a background step has done: holds released, refunds made, and so on.",
		}, byStep),
		success: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: prefix + "step_last_success_timestamp_seconds",
			Help: "When a background step last ended without a failure; 0 before the first time.",
		}, byStep),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: prefix + "step_duration_seconds", Help: "How long a run of a background step took.",
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

// Step counts a run of a step: how long it took, how many things it has done, and whether
// it failed.
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
