package stripetest

import (
	"crypto/rand"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"slices"
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

// Advance moves the server's clock ahead, in addition to the time that passes:
// sessions past their expires_at expire at once (and their events are due),
// idempotency keys are forgotten, and pauses between deliveries and the three
// days after which they end run out sooner.
//
// Signatures go on carrying the unadvanced time of Options.Now, because the
// receiver, which judges their age, has not moved. It panics when d is negative.
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

// now is the server's time. Callers hold s.mu.
func (s *Server) now() time.Time {
	return s.opts.Now().Add(s.advanced)
}

// lock takes s.mu and lets everything happen that time has brought since, so
// that nobody sees an open session past its end, whether Run is at work or not.
func (s *Server) lock() {
	s.mu.Lock()
	s.sweep()
}

// sweep expires sessions whose time has come. Callers hold s.mu.
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

// expiresAt notes that an open session ends at t. Callers hold s.mu.
func (s *Server) expiresAt(t time.Time) {
	if s.nextExpiry.IsZero() || t.Before(s.nextExpiry) {
		s.nextExpiry = t
	}
}

// store keeps objects by id and in the order they came, the newest of them.
// Callers hold the Server's mutex.
type store[T any] struct {
	byID  map[string]*T
	order []string // ids, oldest first
}

func newStore[T any]() store[T] { return store[T]{byID: map[string]*T{}} }

// add remembers a new object, and forgets the oldest when there are more than keep.
func (st *store[T]) add(id string, object *T, keep int) {
	st.byID[id] = object
	st.order = append(st.order, id)
	if len(st.order) > keep {
		delete(st.byID, st.order[0])
		st.order = st.order[1:]
	}
}

// newestFirst yields all objects.
func (st *store[T]) newestFirst() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for _, id := range slices.Backward(st.order) {
			if !yield(st.byID[id]) {
				return
			}
		}
	}
}

// newID returns prefix and n random letters and digits, as Stripe's ids look.
func newID(prefix string, n int) string {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	id := make([]byte, 0, n)
	var random [64]byte
	for len(id) < n {
		_, _ = rand.Read(random[:]) // never fails
		for _, b := range random {
			// Bytes past the last multiple of 62 would favour some characters.
			if b < 62*4 && len(id) < n {
				id = append(id, alphabet[b%62])
			}
		}
	}
	return prefix + string(id)
}
