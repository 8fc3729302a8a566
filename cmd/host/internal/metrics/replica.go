package metrics

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/booking-platform/booking-platform/cmd/host/internal/postgres"
)

var (
	replicaUsedDesc = desc("read_replica_used",
		"1 if this host reads from the standby of DATABASE_READ_URL, 0 if there is none, or it is down or too far behind.")
	replicaLagDesc = desc("read_replica_lag_seconds",
		"How far behind the primary the standby was when it was last measured; NaN if that is unknown.")
)

// replica exports the state of the standby that is read from.
type replica struct{ *postgres.Replica }

// Describe implements prometheus.Collector.
func (replica) Describe(ch chan<- *prometheus.Desc) {
	ch <- replicaUsedDesc
	ch <- replicaLagDesc
}

// Collect implements prometheus.Collector.
func (r replica) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(replicaUsedDesc, prometheus.GaugeValue, truth(r.Fit()))
	seconds := math.NaN()
	if lag, known := r.Lag(); known {
		seconds = lag.Seconds()
	}
	ch <- prometheus.MustNewConstMetric(replicaLagDesc, prometheus.GaugeValue, seconds)
}
