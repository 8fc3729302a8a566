package metrics

import (
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// latencies are the buckets of a request in seconds: from one round trip to the database,
// to the time limit of a request.
var latencies = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

func newRequests() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: prefix + "http_request_duration_seconds", Buckets: latencies,
		Help: "Requests, by the template of their route (none: no route), their method, and the class of the answer's status (cut: nobody was left to answer).",
	}, []string{"route", "method", "status"})
}

// methods have a label of their own; a client can send any word.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// Request counts a request that was answered. Route is the template of its route, empty
// where it had none; a path as it was asked for does not belong there. Status is 0 where
// nobody was left to answer.
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
		Name: prefix + "holds_total", Help: "Wishes for a slot, by what became of them: held, or why not.",
	}, []string{"result"})
	for _, result := range results {
		holds.WithLabelValues(result)
	}
	return holds
}

// Hold counts a wish for a slot; result is one of Options.Results.
func (m *Metrics) Hold(result string) { m.holds.WithLabelValues(result).Inc() }
