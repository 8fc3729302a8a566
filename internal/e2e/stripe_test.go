package e2e

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

const (
	stripeKey     = "sk_test_e2e"
	webhookSecret = "whsec_e2e"
)

// stripeWorld is a Stripe outside the host, which it outlives. Its webhooks go through a
// relay, because the host's address is known only once it runs, and changes at each
// start.
type stripeWorld struct {
	*stripetest.Server
	api         string
	key, secret string
	target      atomic.Pointer[string]
}

func newStripe(t *testing.T, opts stripetest.Options) *stripeWorld {
	t.Helper()
	w := &stripeWorld{}
	relay := httptest.NewServer(http.HandlerFunc(w.relay))
	t.Cleanup(relay.Close)
	opts.WebhookURL = relay.URL
	opts.SecretKey, opts.WebhookSecret = cmp.Or(opts.SecretKey, stripeKey), cmp.Or(opts.WebhookSecret, webhookSecret)
	w.key, w.secret = opts.SecretKey, opts.WebhookSecret
	opts.Backoff = []time.Duration{100 * time.Millisecond}
	var err error
	w.Server, err = stripetest.New(opts)
	require.NoError(t, err)
	api := httptest.NewServer(w.Server)
	t.Cleanup(api.Close)
	w.api = api.URL
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return w
}

// pointAt sends the webhooks to this host from now on.
func (w *stripeWorld) pointAt(h *host) { w.target.Store(&h.base) }

// relay passes a delivery on and its answer back; a host that does not answer is a 502,
// as from a proxy.
func (w *stripeWorld) relay(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	target := w.target.Load()
	if err != nil || target == nil {
		rw.WriteHeader(http.StatusBadGateway)
		return
	}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, *target+"/webhook", bytes.NewReader(body))
	if err != nil {
		rw.WriteHeader(http.StatusBadGateway)
		return
	}
	req.Header = r.Header.Clone()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		rw.WriteHeader(http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	rw.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(rw, resp.Body)
}

// env configures a host for this Stripe and a database.
func (w *stripeWorld) env(database string) map[string]string {
	return map[string]string{
		"DATABASE_URL": database, "STORAGE_DRIVER": "db",
		"STRIPE_SECRET_KEY": w.key, "STRIPE_WEBHOOK_SECRET": w.secret, "STRIPE_API_BASE": w.api,
	}
}
