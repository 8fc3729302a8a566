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
	// undeliveredPages is how many pages one run of the step reads at most, of
	// undeliveredPage events each: Stripe's largest.
	undeliveredPages = 10
	undeliveredPage  = 100
	// eventsKept is for how long Stripe answers with an event
	// (https://docs.stripe.com/api/events).
	eventsKept = 30 * 24 * time.Hour
)

// eventPage is a page of events, each as Stripe wrote it.
type eventPage struct {
	stripe.APIResource
	HasMore bool              `json:"has_more"`
	Data    []json.RawMessage `json:"data"`
}

// FetchUndelivered is one step: it lists, at Stripe, the events of the types of
// [Payments.Register] that were not delivered, and has the receiver work on each as on a
// delivery: so they arrive though the endpoint was down for longer than Stripe goes on
// sending, or was switched off. receiver is the one that the handlers are registered on.
// Run it every few minutes. It returns how many it settled that nothing had settled
// before.
//
// What was settled is a duplicate at the ledger, so nothing is remembered of what has
// been taken, and the step is safe on every replica at once and against deliveries. One
// run reads 1,000 events at most, the newest first; where there are more, the next run of
// this process goes on where it ended. Stripe lists what was not delivered for 30 days,
// duplicates included. Nothing to do is one call to Stripe and no round trip. It goes on
// after an event that failed, to the end of its page, and returns the first failure; what
// Stripe does not answer is [ErrUnavailable]. It ends with ctx.
func (p *Payments) FetchUndelivered(ctx context.Context, receiver *webhook.Receiver) (int, error) {
	ctx = inBackground(ctx)
	// Two at once in one process would only do the same twice.
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
			// The event to go on from may be gone: the next run begins anew.
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

// listEvents reads one page of the events of our types that were made since then, from
// the event after the one that is named, newest first.
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
	// Not the library's own list: it would write the events anew, and what is kept and
	// handled is what Stripe wrote.
	err := p.backend.CallRaw(http.MethodGet, "/v1/events", p.key, query, &stripe.Params{Context: ctx}, page)
	return page, err
}

// receivePage has the receiver work on each event, and returns how many that settled and the
// last one's id.
func receivePage(ctx context.Context, receiver *webhook.Receiver,
	events []json.RawMessage) (settled int, last string, err error) {
	failed := 0
	for _, payload := range events {
		var e struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(payload, &e) != nil || e.ID == "" {
			return settled, "", errors.New("payments: what Stripe listed is no event")
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

// FetchSinceOptions say what [Payments.FetchSince] does.
type FetchSinceOptions struct {
	// DryRun says of each event what the ledger has of it, and does nothing.
	DryRun bool
	// Each is called with each event that Stripe listed, in the order of the list, newest
	// first; nil is nobody. It must not be slow: Stripe's list waits.
	Each func(FetchedEvent)
}

// FetchedEvent is an event that Stripe listed, and what came of it.
type FetchedEvent struct {
	ID, Type string
	// Created is when Stripe made it, in UTC.
	Created time.Time
	// Was is the outcome in the ledger before; empty where the ledger did not know the
	// event.
	Was webhook.Outcome
	// Outcome is what came of it: Duplicate for one that was settled before. Empty in a
	// dry run.
	Outcome webhook.Outcome
	// SessionID is the Checkout Session that it is about, Reference our payment's id, and
	// BookingID the booking's, as Stripe knows them; each may be empty. Of an event that
	// is Unmatched they say what was paid for.
	SessionID, Reference, BookingID string
	// Amount is the money that it is about, in minor units, and Currency its currency;
	// zero and empty where it names none.
	Amount   int64
	Currency string
	// Err is why it Failed.
	Err error
}

// Missing tells whether the ledger did not have the event settled before.
func (t FetchedEvent) Missing() bool {
	return t.Was == "" || t.Was == webhook.Failed || t.Was == webhook.Unmatched
}

// FetchSince lists, at Stripe, every event of the types of [Payments.Register] that was
// made since then, delivered or not, and has the receiver work on each as on a delivery:
// for a database that was restored from a backup, and knows nothing of what was answered
// after it. receiver is the one that the handlers are registered on. Stripe lists the
// events of 30 days; an earlier since is as 30 days ago. It reads the list to its end, a
// hundred events a call.
//
// What was settled is a duplicate at the ledger, so it can be repeated, and run beside
// deliveries and on several replicas. It goes on after an event that failed, which Each
// tells; the error is Stripe's (an [ErrUnavailable]), the database's, or the context's,
// and then a repeat begins anew. It takes one round trip for each event, and those of a
// delivery.
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

// receiveListed looks the event up in the ledger, and has the receiver work on it.
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

// parseListed reads what is told of an event. The object of each of our types has these names
// for it, where it has it at all.
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
		return FetchedEvent{}, errors.New("payments: what Stripe listed is no event")
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
