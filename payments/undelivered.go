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

// TakeUndelivered is one step: it lists, at Stripe, the events of the types of
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
func (p *Payments) TakeUndelivered(ctx context.Context, receiver *webhook.Receiver) (int, error) {
	ctx = inBackground(ctx)
	// Two at once in one process would only do the same twice.
	if !p.taking.TryLock() {
		return 0, nil
	}
	defer p.taking.Unlock()
	settled := 0
	for range undeliveredPages {
		if p.quiet() {
			break
		}
		page, err := p.listEvents(ctx, &stripe.EventListParams{DeliverySuccess: stripe.Bool(false)},
			time.Now().Add(-eventsKept), p.takenTo)
		if err != nil {
			// The event to go on from may be gone: the next run begins anew.
			p.takenTo = ""
			return settled, p.unavailable(ctx, "list undelivered events", "", err)
		}
		n, last, err := takePage(ctx, receiver, page.Data)
		settled += n
		p.takenTo = last
		if !page.HasMore {
			p.takenTo = ""
		}
		if err != nil || p.takenTo == "" {
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

// takePage has the receiver work on each event, and returns how many that settled and the
// last one's id.
func takePage(ctx context.Context, receiver *webhook.Receiver,
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
