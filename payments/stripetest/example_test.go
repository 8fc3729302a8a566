package stripetest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/checkout/session"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// A shop is tested from the order to the webhook: the stand-in is served beside
// it, and the shop's own Stripe client and webhook handler do what they do in
// production.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	// The shop, and where it hears from Stripe.
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

	// The stand-in, served and at work.
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

	// The shop's client: Stripe's own, with another address.
	sessions := session.Client{Key: "sk_test_example", B: stripe.GetBackendWithConfig(
		stripe.APIBackend, &stripe.BackendConfig{URL: stripe.String(api.URL)})}
	created, err := sessions.New(boatTour())
	if err != nil {
		panic(err)
	}
	fmt.Println("created:", created.Status, created.AmountTotal, created.Currency)

	// The customer pays; Stripe then says so once more than it should.
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

// Faults on the way to Stripe are made by wrapping the handler. Here the session
// is created and the answer lost: the worst case, and the one for which
// idempotency keys exist. Stripe's client tries again by itself.
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

// boatTour is what the shop of the examples sells.
func boatTour() *stripe.CheckoutSessionParams {
	return &stripe.CheckoutSessionParams{
		Mode:              stripe.String("payment"),
		SuccessURL:        stripe.String("https://shop.example/success?session_id={CHECKOUT_SESSION_ID}"),
		ClientReferenceID: stripe.String("order 7"),
		LineItems: []*stripe.CheckoutSessionLineItemParams{{
			Quantity: stripe.Int64(1),
			PriceData: &stripe.CheckoutSessionLineItemPriceDataParams{
				Currency:    stripe.String("eur"),
				UnitAmount:  stripe.Int64(4900),
				ProductData: &stripe.CheckoutSessionLineItemPriceDataProductDataParams{Name: stripe.String("Boat tour")},
			},
		}},
	}
}
