package stripetest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/checkout/session"
	"github.com/stripe/stripe-go/v76/refund"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// A whole test of a shop, from the order to the webhook: the shop's Stripe client and
// webhook handler run as in production.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	// The shop's webhook endpoint.
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		payload, _ := io.ReadAll(r.Body)
		event, err := webhook.ConstructEvent(payload, r.Header.Get("Stripe-Signature"), "whsec_example")
		if err != nil {
			http.Error(w, "bad signature", http.StatusBadRequest)
			return
		}
		fmt.Println("the shop hears:", event.Type, event.GetObjectValue("client_reference_id"))
	}))
	defer shop.Close()

	// The stand-in, served and running.
	stand, err := stripetest.New(stripetest.Options{
		SecretKey:     "sk_test_example",
		WebhookURL:    shop.URL,
		WebhookSecret: "whsec_example",
	})
	if err != nil {
		panic(err)
	}
	api := httptest.NewServer(stand)
	defer api.Close()
	go func() { _ = stand.Run(ctx) }()

	// The shop's client is Stripe's own, with another address.
	sessions := session.Client{Key: "sk_test_example", B: stripe.GetBackendWithConfig(
		stripe.APIBackend, &stripe.BackendConfig{URL: stripe.String(api.URL)})}
	created, err := sessions.New(boatTour())
	if err != nil {
		panic(err)
	}
	fmt.Println("created:", created.Status, created.AmountTotal, created.Currency)

	// The customer pays; Stripe delivers the event twice.
	paid, err := stand.Pay(ctx, created.ID)
	if err != nil {
		panic(err)
	}
	fmt.Println("paid:", paid.Status, paid.PaymentStatus)
	if err := stand.WaitDelivered(ctx); err != nil {
		panic(err)
	}
	if _, err := stand.Resend(ctx, stand.Events()[0].ID, 1); err != nil {
		panic(err)
	}
	// Output:
	// created: open 4900 eur
	// the shop hears: checkout.session.completed order 7
	// paid: complete paid
	// the shop hears: checkout.session.completed order 7
}

// t stands for the *testing.T of a service's test.
func ExampleStart() {
	t := &test{}
	defer t.end()
	stand := stripetest.Start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		payload, _ := io.ReadAll(r.Body)
		event, err := webhook.ConstructEvent(payload, r.Header.Get("Stripe-Signature"), stripetest.WebhookSecret)
		if err != nil {
			http.Error(w, "bad signature", http.StatusBadRequest)
			return
		}
		fmt.Println("the shop hears:", event.Type)
	}))
	sessions := session.Client{Key: stripetest.SecretKey, B: stripe.GetBackendWithConfig(
		stripe.APIBackend, &stripe.BackendConfig{URL: stripe.String(stand.URL())})}
	created, err := sessions.New(boatTour())
	if err != nil {
		panic(err)
	}
	paid, err := stand.Pay(context.Background(), created.ID)
	if err != nil {
		panic(err)
	}
	fmt.Println("paid:", paid.PaymentStatus)
	// Output:
	// the shop hears: checkout.session.completed
	// paid: paid
}

// Wrapping the handler injects faults. The session is created and the response lost: the
// case for which idempotency keys exist. Stripe's client retries.
func ExampleServer_ServeHTTP_lostAnswer() {
	stand, err := stripetest.New(stripetest.Options{SecretKey: "sk_test_example"})
	if err != nil {
		panic(err)
	}
	var lost atomic.Bool
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if lost.CompareAndSwap(false, true) {
			stand.ServeHTTP(httptest.NewRecorder(), r)
			http.Error(w, "<html>Bad Gateway</html>", http.StatusBadGateway)
			return
		}
		stand.ServeHTTP(w, r)
	}))
	defer api.Close()

	sessions := session.Client{Key: "sk_test_example", B: stripe.GetBackendWithConfig(
		stripe.APIBackend, &stripe.BackendConfig{
			URL:           stripe.String(api.URL),
			LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
		})}
	created, err := sessions.New(boatTour())
	if err != nil {
		panic(err)
	}
	fmt.Println("replayed:", created.LastResponse.Header.Get("Idempotent-Replayed"))
	fmt.Println("sessions:", len(stand.Sessions()))
	// Output:
	// replayed: true
	// sessions: 1
}

func boatTour() *stripe.CheckoutSessionParams {
	return &stripe.CheckoutSessionParams{
		Mode:              stripe.String("payment"),
		SuccessURL:        stripe.String("https://shop.example/success?session_id={CHECKOUT_SESSION_ID}"),
		ClientReferenceID: stripe.String("order 7"),
		LineItems: []*stripe.CheckoutSessionLineItemParams{{
			Quantity: stripe.Int64(1),
			PriceData: &stripe.CheckoutSessionLineItemPriceDataParams{
				Currency:   stripe.String("eur"),
				UnitAmount: stripe.Int64(4900),
				ProductData: &stripe.CheckoutSessionLineItemPriceDataProductDataParams{
					Name: stripe.String("Boat tour"),
				},
			},
		}},
	}
}

// Refunds that go wrong: the call's response is lost, the bank returns the money a day
// later, and the webhooks come in the wrong order. The shop's books agree with the
// stand-in's in the end.
func Example_refund() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		payload, _ := io.ReadAll(r.Body)
		event, err := webhook.ConstructEvent(payload, r.Header.Get("Stripe-Signature"), "whsec_example")
		if err != nil {
			http.Error(w, "bad signature", http.StatusBadRequest)
			return
		}
		fmt.Println("the shop hears:", event.Type, event.GetObjectValue("status"))
	}))
	defer shop.Close()
	stand, err := stripetest.New(stripetest.Options{SecretKey: "sk_test_example", WebhookURL: shop.URL,
		WebhookSecret: "whsec_example"})
	if err != nil {
		panic(err)
	}
	api := httptest.NewServer(stand)
	defer api.Close()
	go func() { _ = stand.Run(ctx) }()
	backend := stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		URL: &api.URL, LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull}})
	sessions := session.Client{Key: "sk_test_example", B: backend}
	refunds := refund.Client{Key: "sk_test_example", B: backend}

	created, err := sessions.New(boatTour())
	if err != nil {
		panic(err)
	}
	paid, err := stand.Pay(ctx, created.ID)
	if err != nil {
		panic(err)
	}

	// The connection is reset after the effect, and Stripe's client retries.
	stand.HoldDelivery()
	stand.MakeRefundsPending(1)
	lost := stand.Fault(func(r *http.Request) bool { return r.URL.Path == "/v1/refunds" }, stripetest.ResetAfter, 1)
	made, err := refunds.New(&stripe.RefundParams{PaymentIntent: &paid.PaymentIntentID})
	if err != nil {
		panic(err)
	}
	fmt.Println("answers lost:", lost.Fired(), "refunds:", len(stand.Refunds()), made.Status)

	// The customer's card is closed, and the webhooks come newest first.
	if _, err := stand.FailRefund(made.ID, "expired_or_canceled_card"); err != nil {
		panic(err)
	}
	newestFirst := func(held []stripetest.Event) []stripetest.Event {
		slices.Reverse(held)
		return held
	}
	if _, err := stand.ReleaseDelivery(ctx, newestFirst); err != nil {
		panic(err)
	}
	fmt.Printf("%+v\n", stand.Balance()["eur"])
	// Output:
	// the shop hears: checkout.session.completed complete
	// answers lost: 1 refunds: 1 pending
	// the shop hears: charge.refund.updated failed
	// the shop hears: refund.updated failed
	// the shop hears: charge.refunded succeeded
	// the shop hears: refund.created pending
	// {Captured:4900 Refunded:0 Pending:0 Disputed:0}
}
