package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/booking-platform/booking-platform/webhook"
)

var (
	deliveriesDesc = desc("webhook_deliveries_total", "Deliveries to the webhook, by what became of them.", "outcome")
	reasonsDesc    = desc("webhook_reasons_total", "Deliveries that were rejected or ignored, by reason.", "reason")
	signaturesDesc = desc("webhook_signatures_total",
		"Deliveries with a good signature, by which of STRIPE_WEBHOOK_SECRET, from 1 on.", "secret")
	versionsDesc = desc("webhook_other_version_total",
		"Deliveries with a good signature of another API version than the one this program is made for.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prefix+name, help, labels, nil)
}

// deliveries reads the receiver's own counters, so that nothing is counted twice.
type deliveries struct{ stats func() webhook.Stats }

// Describe names the series.
func (deliveries) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{deliveriesDesc, reasonsDesc, signaturesDesc, versionsDesc} {
		ch <- d
	}
}

// Collect reads them.
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
