package payments_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

// A service that also sells subscriptions on the same Stripe account, at the same
// endpoint. Their Checkout Sessions have client_reference_id "subscriber-" and a number.
// Each handler leaves to the others what it does not know, so the order of registration
// does not matter.
func ExamplePayments_Register() {
	var p *payments.Payments
	var receiver *webhook.Receiver
	p.Register(receiver)
	p.RegisterBatch(receiver)

	receiver.Handle("checkout.session.completed",
		func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
			// Sessions of bookings and other products end here, before any SQL.
			var session struct{ Mode, Subscription string }
			if err := json.Unmarshal(ev.Object, &session); err != nil || session.Mode != "subscription" {
				return webhook.Ignored, nil
			}
			text, ours := strings.CutPrefix(ev.Reference, "subscriber-")
			number, err := strconv.ParseInt(text, 10, 64)
			if !ours || err != nil {
				return webhook.Ignored, nil
			}
			// No row yet: Unmatched. It is asked again later, as the payment's handler is.
			return webhook.FromResult(tx.ExecContext(ctx,
				`UPDATE subscribers SET subscription = $1 WHERE number = $2`, session.Subscription, number))
		})
	receiver.Handle("charge.refunded",
		func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
			return webhook.FromResult(tx.ExecContext(ctx,
				`UPDATE subscribers SET refunded = true WHERE payment_intent = $1`, ev.PaymentIntentID))
		})
	receiver.Handle("customer.subscription.deleted",
		func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
			return webhook.FromResult(tx.ExecContext(ctx,
				`UPDATE subscribers SET ended = true WHERE subscription = $1`, ev.ObjectID))
		})
	http.Handle("POST /webhook", receiver)
}
