package stripetest_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/checkout/session"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

const (
	secretKey     = "sk_test_standin"
	webhookSecret = "whsec_standin"
)

// standIn is a served stand-in with a real client.
type standIn struct {
	*stripetest.Server
	url      string
	sessions session.Client
}

func start(t *testing.T, opts stripetest.Options) standIn {
	t.Helper()
	opts.SecretKey = secretKey
	if opts.WebhookURL != "" {
		opts.WebhookSecret = webhookSecret
	}
	server, err := stripetest.New(opts)
	require.NoError(t, err)
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	return standIn{Server: server, url: web.URL, sessions: client(web.URL, secretKey)}
}

func (s standIn) run(t *testing.T) standIn {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return s
}

// client has no retries, which would hide what is tested.
func client(url, key string) session.Client {
	return session.Client{Key: key, B: stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		URL:               &url,
		HTTPClient:        &http.Client{Timeout: 20 * time.Second},
		MaxNetworkRetries: stripe.Int64(0),
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull},
	})}
}

// order is two places at 12.50 euros.
func order() *stripe.CheckoutSessionParams {
	p := &stripe.CheckoutSessionParams{
		Mode:              stripe.String("payment"),
		SuccessURL:        stripe.String("https://shop.example/success?session_id={CHECKOUT_SESSION_ID}"),
		CancelURL:         stripe.String("https://shop.example/cancel?booking=42"),
		ClientReferenceID: stripe.String("payment-1"),
		CustomerEmail:     stripe.String("ada@example.com"),
		LineItems: []*stripe.CheckoutSessionLineItemParams{{
			Quantity: stripe.Int64(2),
			PriceData: &stripe.CheckoutSessionLineItemPriceDataParams{
				Currency:   stripe.String("eur"),
				UnitAmount: stripe.Int64(1250),
				ProductData: &stripe.CheckoutSessionLineItemPriceDataProductDataParams{
					Name: stripe.String("Boat tour"),
				},
			},
		}},
		PaymentIntentData: &stripe.CheckoutSessionPaymentIntentDataParams{
			Metadata: map[string]string{"payment_id": "payment-1"},
		},
	}
	p.AddMetadata("booking_id", "booking-1")
	return p
}

func (s standIn) create(t *testing.T) *stripe.CheckoutSession {
	t.Helper()
	sess, err := s.sessions.New(order())
	require.NoError(t, err)
	return sess
}

// within bounds a wait that ends earlier unless the test fails.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// delivery is one request to a receiver.
type delivery struct {
	body      []byte
	signature string
	header    http.Header
}

// receiver is a webhook endpoint.
type receiver struct {
	url        string
	deliveries chan delivery
}

// h answers after the body was read.
func receive(t *testing.T, h http.HandlerFunc) receiver {
	t.Helper()
	got := make(chan delivery, 1000)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- delivery{body: body, signature: r.Header.Get("Stripe-Signature"), header: r.Header}
		h(w, r)
	}))
	t.Cleanup(web.Close)
	return receiver{url: web.URL + "/webhook", deliveries: got}
}

// next returns the next delivery.
func (r receiver) next(t *testing.T) delivery {
	t.Helper()
	select {
	case d := <-r.deliveries:
		return d
	case <-within(t).Done():
		require.FailNow(t, "no delivery came")
		return delivery{}
	}
}

func answering(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Tick advances the clock by a second and returns it.
func (c *clock) Tick() time.Time {
	c.Add(time.Second)
	return c.Now()
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func stripeError(t *testing.T, err error) *stripe.Error {
	t.Helper()
	var e *stripe.Error
	require.ErrorAs(t, err, &e)
	return e
}
