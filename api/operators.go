package api

import (
	"context"
	"net/http"
	"time"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/webhook"
)

// Entry is one event of Stripe's and what became of it, without its payload, as GET
// /payments and `host events` write it.
type Entry struct {
	ID              string          `json:"id"`
	Type            string          `json:"type"`
	Outcome         webhook.Outcome `json:"outcome"`
	Reason          webhook.Reason  `json:"reason,omitempty"`
	Attempts        int             `json:"attempts"`
	LastError       string          `json:"lastError,omitempty"`
	ObjectID        string          `json:"objectId"`
	StripeSessionID string          `json:"stripeSessionId"`
	PaymentIntentID string          `json:"paymentIntentId"`
	Reference       string          `json:"reference"`
	APIVersion      string          `json:"apiVersion"`
	Account         string          `json:"account,omitempty"`
	Livemode        bool            `json:"livemode"`
	Created         *time.Time      `json:"created"`
	ReceivedAt      time.Time       `json:"receivedAt"`
	ProcessedAt     *time.Time      `json:"processedAt"`
}

// EntryOf is an event of the ledger as it is written.
func EntryOf(e webhook.Entry) Entry {
	return Entry{
		ID: e.ID, Type: e.Type, Outcome: e.Outcome, Reason: e.Reason, Attempts: e.Attempts, LastError: e.LastError,
		ObjectID:        e.ObjectID,
		StripeSessionID: e.SessionID, PaymentIntentID: e.PaymentIntentID, Reference: e.Reference,
		APIVersion: e.APIVersion,
		Account:    e.Account, Livemode: e.Livemode, Created: orNull(e.Created), ReceivedAt: e.ReceivedAt,
		ProcessedAt: orNull(e.ProcessedAt),
	}
}

// mayKnowSessions tells whether the id of a Checkout Session may be told: to a customer,
// whose it is, and to those who may renew a customer's link. Whoever has it gets the
// owner's link by the page to which customers come back from paying, and READONLY must
// not.
func mayKnowSessions(ctx context.Context) bool {
	user, staff := auth.UserFrom(ctx)
	return !staff || user.Role == roleAdmin || user.Role == roleOps
}

// ledger answers what Stripe has sent, newest first. Each page says where the next one
// begins.
func (a *API) ledger(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	limit, err := readLimit(query)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	for _, name := range []string{"before", "type", "outcome", "reason"} {
		// Postgres would refuse some of what is no name or id.
		if query.Has(name) && !printable(query.Get(name)) {
			a.fail(w, r,
				&booking.ValidationError{Fields: map[string]string{name: "must be 1 to 200 printable ASCII characters"}})
			return
		}
	}
	entries, err := a.opts.Receiver.Ledger().List(r.Context(), webhook.ListOptions{
		Limit: limit, Before: query.Get("before"), Type: query.Get("type"),
		Outcome: webhook.Outcome(query.Get("outcome")),
		Reason:  webhook.Reason(query.Get("reason")),
	})
	if err != nil {
		a.fail(w, r, err)
		return
	}
	answer := list[Entry]{Items: make([]Entry, 0, len(entries)), Meta: &listMeta{Count: len(entries)}}
	maySee := mayKnowSessions(r.Context())
	for _, e := range entries {
		if !maySee && e.SessionID != "" {
			if e.ObjectID == e.SessionID {
				e.ObjectID = ""
			}
			e.SessionID = ""
		}
		answer.Items = append(answer.Items, EntryOf(e))
	}
	if len(entries) == limit {
		answer.Meta.Next = entries[limit-1].ID
	}
	writeJSON(w, http.StatusOK, answer)
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

type metricsView struct {
	Webhook       webhookView       `json:"webhook"`
	WebhookDetail webhookDetailView `json:"webhookDetail"`
	Runtime       runtimeView       `json:"runtime"`
}

// webhookView is counts and nothing else: programs read it as a table of numbers.
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
	// Reasons counts the rejected and the ignored by reason; Secrets the verified
	// deliveries by the secret, in the order of STRIPE_WEBHOOK_SECRET.
	Reasons       map[webhook.Reason]int64 `json:"reasons"`
	Secrets       []int64                  `json:"secrets"`
	LastProcessed *time.Time               `json:"lastProcessed"`
}

type runtimeView struct {
	UptimeSeconds int64  `json:"uptimeSeconds"`
	HTTP5xx       int64  `json:"http5xx"`
	Version       string `json:"version"`
}

// metrics answers what this process has counted since it began; other replicas have
// counts of their own.
func (a *API) metrics(w http.ResponseWriter, _ *http.Request) {
	s := a.opts.Receiver.Stats()
	writeJSON(w, http.StatusOK, metricsView{
		Webhook: webhookView{
			Received: s.Received, Processed: s.Processed, Duplicates: s.Duplicates, Ignored: s.Ignored,
			Unmatched: s.Unmatched,
			Parked:    s.Parked, Errors: s.Errors, Rejected: s.Rejected, OtherVersion: s.OtherVersion,
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
