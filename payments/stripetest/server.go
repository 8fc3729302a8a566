package stripetest

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

// APIVersion is the Stripe API version whose objects are answered and sent: the
// one that stripe-go v76 pins, and that its webhook.ConstructEvent insists on.
const APIVersion = "2023-10-16"

// defaultKeep bounds what a long-running server remembers, of sessions, of events, of
// idempotency keys and of each other kind of object; the oldest are forgotten first.
const defaultKeep = 10_000

// Server is a stateful Stripe in memory: the API below /v1/, the customer's page
// below /pay/. All methods are safe for concurrent use. It belongs to one
// process: two Servers know nothing of each other.
type Server struct {
	opts   Options
	log    *slog.Logger
	client *http.Client
	mux    *http.ServeMux
	keep   int // defaultKeep, but for tests

	// lookAgain is how often Run looks at the clock, which it cannot wait for.
	lookAgain time.Duration

	mu       sync.Mutex
	advanced time.Duration // by Advance
	running  bool          // Run is at work
	flying   int           // deliveries on their way
	changed  chan struct{} // closed and replaced whenever somebody may wait for what happened

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
	pending   []*shipment // what Run has still to deliver
	held      []*event    // what ReleaseDelivery has still to deliver
	holding   bool        // events are held
	releasing bool        // ReleaseDelivery is at work

	replies    map[string]*reply
	replyOrder []*reply // oldest first
	faults     []*Fault // oldest first

	endpoints []WebhookEndpoint // oldest first; never changed
}

// New returns a Server. It starts nothing: webhooks go out, and sessions expire
// unasked, while Run is at work. It fails when the secret key is missing or a
// live one, when a URL is not an absolute http(s) URL, when a webhook URL comes
// without its secret, and when a pause is not positive.
func New(opts Options) (*Server, error) {
	if err := opts.check(); err != nil {
		return nil, fmt.Errorf("stripetest: %w", err)
	}
	opts.PublicURL = strings.TrimRight(opts.PublicURL, "/")
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
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
	s.api("GET /v1/payment_intents/{id}", retrieveParameters, s.retrieveIntent)
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

// ServeHTTP answers Stripe's API below /v1/ and the pay page below /pay/. A POST
// to the pay page may take ten seconds, because it waits for the webhook's first
// answer: a surrounding http.Server needs a WriteTimeout above that.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mux.ServeHTTP(w, r)
}
