package payments_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/webhook"
)

// foreign events are of another product on the account.
var foreign = []struct {
	eventType string
	object    map[string]any
	// alone is the outcome without the product's handler.
	alone webhook.Outcome
}{
	{"checkout.session.completed", map[string]any{"id": "cs_plan", "object": "checkout.session", "mode": "subscription",
		"payment_status": "paid", "client_reference_id": "plan-1", "amount_total": 900, "currency": "eur"},
		webhook.Ignored},
	{"checkout.session.expired", map[string]any{"id": "cs_plan", "object": "checkout.session"}, webhook.Ignored},
	{"customer.subscription.created", map[string]any{"id": "sub_1", "object": "subscription"}, webhook.Ignored},
	{"refund.created", map[string]any{"id": "re_1", "object": "refund", "payment_intent": "pi_plan", "amount": 900,
		"currency": "eur", "status": "succeeded"}, webhook.Unmatched},
	{"charge.refunded", map[string]any{"id": "ch_1", "object": "charge", "payment_intent": "pi_plan",
		"amount_refunded": 900}, webhook.Unmatched},
	{"charge.dispute.created", map[string]any{"id": "dp_1", "object": "dispute", "payment_intent": "pi_plan",
		"status": "needs_response", "amount": 900, "currency": "eur", "reason": "fraudulent"}, webhook.Unmatched},
}

// In both orders of registration and with batches; this package's own events do not reach
// it.
func TestRegister_BesideOtherHandlers(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"none", "before", "after"} {
		for _, batched := range []bool{false, true} {
			t.Run(fmt.Sprint(order, " batched ", batched), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, setup{})
				r, err := webhook.New(w.db, []string{webhookSecret}, webhook.Options{})
				require.NoError(t, err)
				w.receiver = r
				taken := map[string]int{}
				own := func(_ context.Context, _ webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
					if !strings.Contains(string(ev.Object), "plan") && ev.Type != "customer.subscription.created" {
						return webhook.Unmatched, nil
					}
					taken[ev.Type]++
					return webhook.Processed, nil
				}
				if order == "after" {
					w.payments.Register(r)
				}
				if order != "none" {
					for _, f := range foreign {
						r.Handle(f.eventType, own)
					}
				}
				if order != "after" {
					w.payments.Register(r)
				}
				if batched {
					w.payments.RegisterBatch(r)
				}
				for n, f := range foreign {
					require.Equal(t, http.StatusOK, w.send(fmt.Sprint("evt_foreign_", n), f.eventType, f.object))
				}
				b := w.hold(0)
				c := w.checkout(b)
				require.Equal(t, http.StatusOK, w.send("evt_paid", "checkout.session.completed", session(c, nil)))
				require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
				want := map[string]int{"checkout.session.completed processed": 1}
				for _, f := range foreign {
					outcome := f.alone
					if order != "none" {
						outcome = webhook.Processed
						require.Equal(t, 1, taken[f.eventType], f.eventType)
					}
					want[f.eventType+" "+string(outcome)]++
				}
				require.Equal(t, want, w.outcomes())
				backlog, err := r.Ledger().Backlog(t.Context())
				require.NoError(t, err)
				require.Zero(t, backlog.UnmatchedSessions)
				require.Zero(t, backlog.Age)
			})
		}
	}
}
