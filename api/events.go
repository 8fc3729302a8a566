package api

import (
	"net/http"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/webhook"
)

// Entry is an event in the ledger, without its payload, as GET /payments and `host
// events` write it.
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

// EntryOf converts an entry of the ledger.
func EntryOf(e webhook.Entry) Entry {
	return Entry{
		ID: e.ID, Type: e.Type, Outcome: e.Outcome, Reason: e.Reason, Attempts: e.Attempts, LastError: e.LastError,
		ObjectID: e.ObjectID, StripeSessionID: e.SessionID, PaymentIntentID: e.PaymentIntentID,
		Reference: e.Reference, APIVersion: e.APIVersion, Account: e.Account, Livemode: e.Livemode,
		Created: orNull(e.Created), ReceivedAt: e.ReceivedAt,
		ProcessedAt: orNull(e.ProcessedAt),
	}
}

func (a *API) events(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	limit, err := readLimit(query)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	for _, name := range []string{"before", "type", "outcome", "reason"} {
		// Postgres refuses some characters in text.
		if query.Has(name) && !printable(query.Get(name)) {
			a.writeError(w, r,
				&booking.ValidationError{Fields: map[string]string{name: "must be 1 to 200 printable ASCII " +
					"characters"}})
			return
		}
	}
	found, err := a.deps.Receiver.Ledger().Page(r.Context(), webhook.ListOptions{
		Limit: limit, Before: query.Get("before"), Type: query.Get("type"),
		Outcome: webhook.Outcome(query.Get("outcome")),
		Reason:  webhook.Reason(query.Get("reason")),
	})
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	entries := found.Entries
	answer := page[Entry]{Items: make([]Entry, 0, len(entries)),
		Meta: &pageMeta{Count: len(entries), Next: found.Next}}
	maySee := a.maySeeSessions(r.Context())
	for _, e := range entries {
		if !maySee && e.SessionID != "" {
			if e.ObjectID == e.SessionID {
				e.ObjectID = ""
			}
			e.SessionID = ""
		}
		answer.Items = append(answer.Items, EntryOf(e))
	}
	writeJSON(w, http.StatusOK, answer)
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
