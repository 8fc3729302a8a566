package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/event"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

const (
	// eventsKept is for how long Stripe answers with an event.
	eventsKept = 30 * 24 * time.Hour
	// onItsWay is how long an event may take that is being delivered, or that the host
	// has yet to fetch.
	onItsWay = 15 * time.Minute
)

// eventsUndelivered asks Stripe for the newest hundred events that were not delivered,
// and the ledger which of them the host has settled all the same: it fetches them, and
// Stripe goes on listing them.
func (e *examination) eventsUndelivered(ctx context.Context) ([]Finding, error) {
	params := &stripe.EventListParams{
		DeliverySuccess: stripe.Bool(false),
		Types:           stripe.StringSlice(payments.EventTypes()),
		CreatedRange: &stripe.RangeQueryParams{GreaterThanOrEqual: e.Now().Add(-eventsKept).Unix(),
			LesserThan: e.Now().Add(-onItsWay).Unix()},
	}
	params.Context = ctx
	params.Limit = stripe.Int64(100)
	params.Single = true
	it := event.Client{B: e.backend(), Key: e.Config.StripeSecretKey}.List(params)
	lost, listed := 0, 0
	var oldest time.Time
	for it.Next() {
		listed++
		settled, err := e.settled(ctx, it.Event().ID)
		if err != nil {
			return nil, err
		}
		if !settled {
			lost++
			oldest = time.Unix(it.Event().Created, 0)
		}
	}
	if err := it.Err(); err != nil {
		var se *stripe.Error
		if errors.As(err, &se) && se.HTTPStatusCode == 403 {
			return []Finding{refusal(Stripe, err, EventsUndelivered,
				"list events, which the host needs to fetch those that were lost")}, nil
		}
		// Why it is not reached has been told.
		return nil, nil
	}
	if lost == 0 {
		return []Finding{ok(EventsUndelivered, "nothing is undelivered that the host has not fetched")}, nil
	}
	more := ""
	if listed == 100 {
		more = " at least"
	}
	return []Finding{problem(EventsUndelivered,
		fmt.Sprintf("%d%s of Stripe's events were not delivered and are not settled, the oldest of %s", lost, more,
			oldest.UTC().Format(time.RFC3339)),
		"See in Stripe's dashboard what the endpoint answers: 400 means that STRIPE_WEBHOOK_SECRET is another endpoint's; a host that runs fetches what was missed within minutes.")}, nil
}

// comparable tells that both Stripe and the ledger can be asked: what Stripe lists alone
// may all have been fetched.
func (e *examination) comparable() bool { return e.hasStripe() && e.readable() }

// settled tells whether the ledger has done with an event.
func (e *examination) settled(ctx context.Context, id string) (bool, error) {
	record, err := webhook.NewLedger(e.DB, config.ReceiverName).Find(ctx, id)
	if errors.Is(err, webhook.ErrNotFound) {
		return false, nil
	}
	return err == nil && record.Outcome != webhook.Failed && record.Outcome != webhook.Unmatched, err
}
