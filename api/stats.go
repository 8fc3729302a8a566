package api

import (
	"net/http"
	"time"

	"github.com/booking-platform/booking-platform/webhook"
)

type statsView struct {
	Webhook       webhookView       `json:"webhook"`
	WebhookDetail webhookDetailView `json:"webhookDetail"`
	Runtime       runtimeView       `json:"runtime"`
}

// webhookView has only numbers: programs read it as a table.
type webhookView struct {
	Received     int64 `json:"received"`
	Processed    int64 `json:"processed"`
	Duplicates   int64 `json:"duplicates"`
	Ignored      int64 `json:"ignored"`
	Unmatched    int64 `json:"unmatched"`
	Parked       int64 `json:"parked"`
	Errors       int64 `json:"errors"`
	Rejected     int64 `json:"rejected"`
	OtherVersion int64 `json:"otherVersion"`
}

type webhookDetailView struct {
	// Reasons counts rejected and ignored events, Secrets verified deliveries by the
	// position of their signing secret.
	Reasons       map[webhook.Reason]int64 `json:"reasons"`
	Secrets       []int64                  `json:"secrets"`
	LastProcessed *time.Time               `json:"lastProcessed"`
}

type runtimeView struct {
	UptimeSeconds int64  `json:"uptimeSeconds"`
	HTTP5xx       int64  `json:"http5xx"`
	Version       string `json:"version"`
}

// stats are of this process since its start.
func (a *API) stats(w http.ResponseWriter, _ *http.Request) {
	s := a.deps.Receiver.Stats()
	writeJSON(w, http.StatusOK, statsView{
		Webhook: webhookView{
			Received: s.Received, Processed: s.Processed, Duplicates: s.Duplicates, Ignored: s.Ignored,
			Unmatched: s.Unmatched, Parked: s.Parked, Errors: s.Errors, Rejected: s.Rejected,
			OtherVersion: s.OtherVersion,
		},
		WebhookDetail: webhookDetailView{Reasons: s.Reasons, Secrets: s.Secrets,
			LastProcessed: orNull(s.LastProcessed)},
		Runtime: runtimeView{
			UptimeSeconds: int64(time.Since(a.opts.Started) / time.Second),
			HTTP5xx:       a.opts.ServerErrors(),
			Version:       a.opts.Version,
		},
	})
}
