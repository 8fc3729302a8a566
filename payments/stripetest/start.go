package stripetest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"
)

// The API key and the webhook's secret of the account that [Start] runs. They are
// constants so that a webhook can be made before the account is.
const (
	SecretKey     = "sk_test_stripetest"
	WebhookSecret = "whsec_stripetest"
)

// TB is what [Start] uses of a *testing.T or *testing.B. It is an interface so that
// programs with a Server do not link package testing.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// stopWithin bounds the wait for webhook handlers when a test ends.
const stopWithin = 10 * time.Second

// Start serves a [Server] on the loopback and runs it until the test ends; then it waits
// for webhook handlers that still run. [Server.URL] is its address for API clients. It
// delivers events to webhook by HTTP, signed with [WebhookSecret]; nil delivers none.
//
// A handler that needs the address itself, such as the webhook of package payments, is
// added to a mux afterwards:
//
//	mux := http.NewServeMux()
//	stripe := stripetest.Start(t, mux)
//	pay, err := payments.New(db, bookings, stripetest.SecretKey, "https://example.com",
//		payments.Options{BaseURL: stripe.URL()})
//	…
//	mux.Handle("/webhook", receiver)
//
// At most one Options may be given. Its SecretKey and WebhookSecret replace the
// constants, and its WebhookURL may be the path of the handler, which is /webhook by
// default, or, without a handler, the URL of a service that serves itself. Start sets
// PublicURL. It fails the test if the options are wrong.
func Start(t TB, webhook http.Handler, opts ...Options) *Server {
	t.Helper()
	var o Options
	if len(opts) > 0 {
		o = opts[0]
	}
	if o.SecretKey == "" {
		o.SecretKey = SecretKey
	}
	if o.WebhookSecret == "" {
		o.WebhookSecret = WebhookSecret
	}
	if webhook != nil {
		path := o.WebhookURL
		if path == "" {
			path = "/webhook"
		}
		if !strings.HasPrefix(path, "/") {
			t.Fatalf("stripetest: with a handler, WebhookURL is a path such as /webhook, not %s", path)
		}
		o.WebhookURL = serve(t, webhook) + path
	}
	// The address has to be known before the Server, which is its handler.
	handler := http.NewServeMux()
	o.PublicURL = serve(t, handler)
	s, err := New(o)
	if err != nil {
		t.Fatalf("%v", err)
		return nil
	}
	handler.Handle("/", s)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Fatalf("run the stand-in: %v", err)
		}
	})
	return s
}

// serve serves a handler until the test ends and returns its address.
func serve(t TB, handler http.Handler) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("stripetest: listen: %v", err)
		return ""
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Fatalf("stripetest: serve: %v", err)
		}
	})
	return "http://" + listener.Addr().String()
}

// URL returns Options.PublicURL: the address of the API, for a client's backend and
// payments.Options.BaseURL, and of the pay page.
func (s *Server) URL() string { return s.opts.PublicURL }
