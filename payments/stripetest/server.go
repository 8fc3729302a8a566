package stripetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// defaultKeep bounds the objects of each kind, events and idempotency keys; the oldest
// are forgotten.
const defaultKeep = 10_000

// Server is a stateful Stripe in memory: the API below /v1/, the customer's page below
// /pay/. Methods are safe for concurrent use.
type Server struct {
	opts   Options
	log    *slog.Logger
	client *http.Client
	mux    *http.ServeMux
	keep   int // defaultKeep, but for tests

	// lookAgain is how often Run reads the clock.
	lookAgain time.Duration

	mu       sync.Mutex
	advanced time.Duration // by Advance
	running  bool          // Run is running
	inFlight int           // deliveries being sent
	changed  chan struct{} // closed and replaced at each change that a waiter may look for

	sessions   map[string]*Session
	order      []string  // session ids, oldest first
	nextExpiry time.Time // no open session expires before; zero when none is open

	intents        store[PaymentIntent]
	charges        store[Charge]
	refunds        store[Refund]
	disputes       store[Dispute]
	balance        map[string]Money // by currency
	pendingRefunds int              // how many of the next refunds will be pending
	actionRefunds  int              // how many of the next refunds will require an action

	events    store[event]
	pending   []*shipment // waiting for Run
	held      []*event    // waiting for ReleaseDelivery
	holding   bool        // new events are held
	releasing bool        // ReleaseDelivery is running

	replies    map[string]*reply
	replyOrder []*reply // oldest first
	faults     []*Fault // oldest first

	endpoints []WebhookEndpoint // oldest first; never changed
}

// New returns a Server; [Server.Run] delivers webhooks and expires sessions. It returns
// an error for a missing or live secret key, a URL that is not absolute http(s), a
// webhook URL without its secret, and a pause that is not positive.
func New(opts Options) (*Server, error) {
	if err := opts.check(); err != nil {
		return nil, fmt.Errorf("stripetest: %w", err)
	}
	opts.PublicURL = strings.TrimRight(opts.PublicURL, "/")
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.APIVersion == "" {
		opts.APIVersion = APIVersion
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Backoff == nil {
		opts.Backoff = defaultBackoff
	}
	if opts.DeliveryTimeout == 0 {
		opts.DeliveryTimeout = 10 * time.Second
	}
	s := &Server{
		opts:      opts,
		log:       opts.Logger,
		client:    deliveryClient(),
		mux:       http.NewServeMux(),
		keep:      defaultKeep,
		lookAgain: time.Second,
		changed:   make(chan struct{}),
		sessions:  map[string]*Session{},
		events:    newStore[event](),
		intents:   newStore[PaymentIntent](),
		charges:   newStore[Charge](),
		refunds:   newStore[Refund](),
		disputes:  newStore[Dispute](),
		balance:   map[string]Money{},
		replies:   map[string]*reply{},
		endpoints: opts.endpoints(),
	}
	s.routes()
	return s, nil
}

func (s *Server) routes() {
	s.api("POST /v1/checkout/sessions", createParameters, s.createSession)
	s.api("GET /v1/checkout/sessions", listParameters, s.listSessions)
	s.api("GET /v1/checkout/sessions/{id}", retrieveParameters, s.retrieveSession)
	s.api("POST /v1/checkout/sessions/{id}/expire", expireParameters, s.expireSession)
	s.api("POST /v1/payment_intents", intentParameters, s.createIntent)
	s.api("GET /v1/payment_intents", intentListParameters, s.listIntents)
	s.api("GET /v1/payment_intents/{id}", retrieveParameters, s.retrieveIntent)
	s.api("POST /v1/payment_intents/{id}/confirm", intentConfirmParameters, s.confirmIntent)
	s.api("POST /v1/payment_intents/{id}/cancel", intentCancelParameters, s.cancelIntent)
	s.api("GET /v1/charges/{id}", retrieveParameters, s.retrieveCharge)
	s.api("POST /v1/refunds", refundParameters, s.createRefund)
	s.api("GET /v1/refunds", refundListParameters, s.listRefunds)
	s.api("GET /v1/refunds/{id}", retrieveParameters, s.retrieveRefund)
	s.api("GET /v1/disputes", disputeListParameters, s.listDisputes)
	s.api("GET /v1/disputes/{id}", retrieveParameters, s.retrieveDispute)
	s.api("GET /v1/events", eventListParameters, s.listEvents)
	s.api("GET /v1/events/{id}", retrieveParameters, s.retrieveEvent)
	s.api("GET /v1/webhook_endpoints", endpointListParameters, s.listEndpoints)
	s.api("/v1/", nil, unrecognized)

	s.mux.HandleFunc("GET /pay/style.css", serveStyle)
	s.mux.HandleFunc("GET /pay/{id}", s.showPage)
	s.mux.HandleFunc("POST /pay/{id}", s.usePage)
}

// ServeHTTP serves the API below /v1/ and the pay page below /pay/. A POST to the page
// waits up to ten seconds for the webhook: the http.Server's WriteTimeout must be longer.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mux.ServeHTTP(w, r)
}

// Advance moves the server's clock ahead by d: sessions and idempotency keys expire, and
// retries come sooner. Signatures keep the time of Options.Now, since the receiver's
// clock has not moved. Advance panics if d is negative.
func (s *Server) Advance(d time.Duration) {
	if d < 0 {
		panic("stripetest: Advance by a negative duration")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advanced += d
	s.sweep()
	s.wake()
}

// now is the advanced time. Callers hold s.mu.
func (s *Server) now() time.Time {
	return s.opts.Now().Add(s.advanced)
}

// lock also expires sessions, so that none is seen open past its end without Run.
func (s *Server) lock() {
	s.mu.Lock()
	s.sweep()
}

// Callers hold s.mu.
func (s *Server) sweep() {
	now := s.now()
	if s.nextExpiry.IsZero() || now.Before(s.nextExpiry) {
		return
	}
	s.nextExpiry = time.Time{}
	for _, id := range s.order {
		sess := s.sessions[id]
		if sess.Status != Open {
			continue
		}
		if now.Before(sess.ExpiresAt) {
			s.expiresAt(sess.ExpiresAt)
			continue
		}
		s.expire(sess, nil)
	}
}

// Callers hold s.mu.
func (s *Server) expiresAt(t time.Time) {
	if s.nextExpiry.IsZero() || t.Before(s.nextExpiry) {
		s.nextExpiry = t
	}
}

// store keeps the newest objects, in order of creation. Callers hold Server.mu.
type store[T any] struct {
	byID  map[string]*T
	order []string // ids, oldest first
}

func newStore[T any]() store[T] { return store[T]{byID: map[string]*T{}} }

func (st *store[T]) add(id string, object *T, keep int) {
	st.byID[id] = object
	st.order = append(st.order, id)
	if len(st.order) > keep {
		delete(st.byID, st.order[0])
		st.order = st.order[1:]
	}
}

func (st *store[T]) newestFirst() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for _, id := range slices.Backward(st.order) {
			if !yield(st.byID[id]) {
				return
			}
		}
	}
}

func newID(prefix string, n int) string {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	id := make([]byte, 0, n)
	var random [64]byte
	for len(id) < n {
		_, _ = rand.Read(random[:]) // never fails
		for _, b := range random {
			// Bytes from 62*4 up would favour some characters.
			if b < 62*4 && len(id) < n {
				id = append(id, alphabet[b%62])
			}
		}
	}
	return prefix + string(id)
}

// SecretKey and WebhookSecret are those of the account that [Start] runs. As constants
// they can be used before it runs.
const (
	SecretKey     = "sk_test_stripetest"
	WebhookSecret = "whsec_stripetest"
)

// TB is the part of testing.TB that [Start] uses, so that programs with a Server do not
// link package testing.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// stopWithin bounds the wait for webhook handlers when a test ends.
const stopWithin = 10 * time.Second

// Start serves and runs a [Server] on the loopback until the test ends, and then waits
// for webhook handlers that still run. [Server.URL] is its address for API clients. It
// delivers events to webhook, signed with [WebhookSecret]; nil delivers none.
//
// A handler that needs the address, such as the webhook of package payments, is added to
// a mux afterwards:
//
//	mux := http.NewServeMux()
//	stripe := stripetest.Start(t, mux)
//	pay, err := payments.New(db, bookings, stripetest.SecretKey, "https://example.com",
//		payments.Options{BaseURL: stripe.URL()})
//	…
//	mux.Handle("/webhook", receiver)
//
// At most one Options may be given. Its keys replace the constants. Its WebhookURL may be
// the path of the handler (default /webhook) or, with a nil handler, the URL of a service
// that serves itself. Start sets PublicURL, and fails the test if the options are wrong.
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

// URL returns Options.PublicURL, for a client's backend and payments.Options.BaseURL.
func (s *Server) URL() string { return s.opts.PublicURL }
