package payments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/form"

	"github.com/booking-platform/booking-platform/webhook"
)

const (
	undeliveredPages = 10
	undeliveredPage  = 100
	// eventsKept is how long Stripe lists events (https://docs.stripe.com/api/events).
	eventsKept = 30 * 24 * time.Hour
)

// eventPage keeps the events' bytes.
type eventPage struct {
	stripe.APIResource
	HasMore bool              `json:"has_more"`
	Data    []json.RawMessage `json:"data"`
}

// FetchUndelivered is a step that passes Stripe's undelivered events of [EventTypes] to
// the receiver given to Register, as if delivered: for an endpoint that was down for
// longer than Stripe's retries. Run it every few minutes. It returns how many it settled.
//
// Settled events are duplicates in the ledger, so the step is safe on every replica and
// beside deliveries. Stripe lists 30 days. A run reads at most 1,000, newest first; the
// next run of this process continues there. With nothing to do it takes one call to
// Stripe and no round trip. After a failed event it finishes the page and returns the
// first failure. If Stripe does not answer the error is [ErrUnavailable].
func (p *Payments) FetchUndelivered(ctx context.Context, receiver *webhook.Receiver) (int, error) {
	ctx = inBackground(ctx)
	if !p.fetching.TryLock() {
		return 0, nil
	}
	defer p.fetching.Unlock()
	settled := 0
	for range undeliveredPages {
		if p.paused() {
			break
		}
		page, err := p.listEvents(ctx, &stripe.EventListParams{DeliverySuccess: stripe.Bool(false)},
			time.Now().Add(-eventsKept), p.fetchCursor)
		if err != nil {
			// The cursor's event may be gone: start over.
			p.fetchCursor = ""
			return settled, p.unavailable(ctx, "list undelivered events", "", err)
		}
		n, last, err := receivePage(ctx, receiver, page.Data)
		settled += n
		p.fetchCursor = last
		if !page.HasMore {
			p.fetchCursor = ""
		}
		if err != nil || p.fetchCursor == "" {
			return settled, err
		}
	}
	return settled, nil
}

// listEvents is newest first.
func (p *Payments) listEvents(ctx context.Context, params *stripe.EventListParams, since time.Time,
	after string) (*eventPage, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	params.CreatedRange = &stripe.RangeQueryParams{GreaterThanOrEqual: since.Unix()}
	params.Types = stripe.StringSlice(slices.Sorted(maps.Keys(p.handlers())))
	params.Limit = stripe.Int64(undeliveredPage)
	if after != "" {
		params.StartingAfter = stripe.String(after)
	}
	query := &form.Values{}
	form.AppendTo(query, params)
	page := &eventPage{}
	// The library's list would re-encode the events.
	err := p.backend.CallRaw(http.MethodGet, "/v1/events", p.key, query, &stripe.Params{Context: ctx}, page)
	return page, err
}

// receivePage returns how many were settled and the last one's id.
func receivePage(ctx context.Context, receiver *webhook.Receiver,
	events []json.RawMessage) (settled int, last string, err error) {
	failed := 0
	for _, payload := range events {
		var e struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(payload, &e) != nil || e.ID == "" {
			return settled, "", errors.New("payments: Stripe listed an object that is not an event")
		}
		last = e.ID
		outcome, failure := receiver.Receive(ctx, payload)
		switch {
		case failure != nil:
			if failed++; err == nil {
				err = failure
			}
		case outcome == webhook.Processed || outcome == webhook.Parked:
			settled++
		}
		if ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		err = fmt.Errorf("payments: %d undelivered events failed, the first: %w", failed, err)
	}
	return settled, last, err
}

// FetchSinceOptions configure [Payments.FetchSince].
type FetchSinceOptions struct {
	// DryRun only reports what the ledger has.
	DryRun bool
	// Each gets each event, newest first. It must return quickly.
	Each func(FetchedEvent)
}

// FetchedEvent is a listed event and its result. Created is UTC.
type FetchedEvent struct {
	ID, Type string
	Created  time.Time
	// Was is its outcome in the ledger before, or empty.
	Was webhook.Outcome
	// Outcome is the result: Duplicate if it was settled before, empty in a dry run.
	Outcome webhook.Outcome
	// SessionID, Reference (the payment's id) and BookingID are as Stripe knows them, or
	// empty. They say what an Unmatched event's customer paid for.
	SessionID, Reference, BookingID string
	// Amount is in minor units.
	Amount   int64
	Currency string
	Err      error
}

// Missing reports whether the ledger had not settled the event before.
func (t FetchedEvent) Missing() bool {
	return t.Was == "" || t.Was == webhook.Failed || t.Was == webhook.Unmatched
}

// FetchSince passes all events of [EventTypes] since a time, delivered or not, to the
// receiver given to Register, as if delivered. Use it after a restore from a backup.
// Stripe lists 30 days, with one call per 100.
//
// Settled events are duplicates in the ledger, so it can be repeated and run beside
// deliveries and other replicas. It continues after a failed event, which Each reports,
// and returns an error of Stripe ([ErrUnavailable]), the database or the context. One
// round trip per event besides those of a delivery.
func (p *Payments) FetchSince(ctx context.Context, receiver *webhook.Receiver, since time.Time,
	opts FetchSinceOptions) error {
	ctx = inBackground(ctx)
	if oldest := time.Now().Add(-eventsKept); since.Before(oldest) {
		since = oldest
	}
	for after := ""; ; {
		page, err := p.listEvents(ctx, &stripe.EventListParams{}, since, after)
		if err != nil {
			return p.unavailable(ctx, "list events", "", err)
		}
		for _, payload := range page.Data {
			t, err := p.receiveListed(ctx, receiver, payload, opts.DryRun)
			if err != nil {
				return err
			}
			after = t.ID
			if opts.Each != nil {
				opts.Each(t)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		if !page.HasMore || len(page.Data) == 0 {
			return nil
		}
	}
}

func (p *Payments) receiveListed(ctx context.Context, receiver *webhook.Receiver, payload []byte,
	dry bool) (FetchedEvent, error) {
	t, err := parseListed(payload)
	if err != nil {
		return t, err
	}
	record, err := receiver.Ledger().Find(ctx, t.ID)
	if err != nil && !errors.Is(err, webhook.ErrNotFound) {
		return t, fmt.Errorf("payments: look for event %s: %w", t.ID, err)
	}
	t.Was = record.Outcome
	if !dry {
		t.Outcome, t.Err = receiver.Receive(ctx, payload)
	}
	return t, nil
}

// All registered types share these field names.
func parseListed(payload []byte) (FetchedEvent, error) {
	var e struct {
		ID      string `json:"id"`
		Type    string `json:"type"`
		Created int64  `json:"created"`
		Data    struct {
			Object struct {
				ID          string            `json:"id"`
				Object      string            `json:"object"`
				Reference   string            `json:"client_reference_id"`
				Metadata    map[string]string `json:"metadata"`
				Amount      int64             `json:"amount"`
				AmountTotal int64             `json:"amount_total"`
				Currency    string            `json:"currency"`
			} `json:"object"`
		} `json:"data"`
	}
	if json.Unmarshal(payload, &e) != nil || e.ID == "" {
		return FetchedEvent{}, errors.New("payments: Stripe listed an object that is not an event")
	}
	o := e.Data.Object
	t := FetchedEvent{
		ID: e.ID, Type: e.Type, Created: time.Unix(e.Created, 0).UTC(), Reference: o.Metadata["payment_id"],
		BookingID: o.Metadata["booking_id"],
		Amount:    max(o.Amount, o.AmountTotal), Currency: o.Currency,
	}
	if o.Object == "checkout.session" {
		t.SessionID = o.ID
	}
	if t.Reference == "" {
		t.Reference = o.Reference
	}
	return t, nil
}
