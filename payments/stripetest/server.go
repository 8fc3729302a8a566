package stripetest

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
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

// Options configures a Server. SecretKey is required; every other field has a
// zero value that works.
type Options struct {
	// SecretKey is the API key that calls must carry. A live key (sk_live_…) is
	// refused: it has no business here.
	SecretKey string

	// PublicURL is where customers reach the handler, prefix included and
	// without a trailing slash (http://127.0.0.1:3000/stripe). The address of a
	// session's pay page is made from it. Empty means the scheme and host that the
	// request creating the session used, which suits a handler served at the root.
	PublicURL string

	// WebhookURL is where Run delivers events. Empty means nowhere: events are
	// recorded and wait for no one.
	WebhookURL string

	// WebhookSecret signs deliveries. It is required with WebhookURL.
	WebhookSecret string

	// Logger is told about sessions, refused calls and deliveries. Nil discards.
	Logger *slog.Logger

	// Now is the clock. Nil means time.Now. It must be safe for concurrent use. Run
	// looks at it once a second, and whenever Advance is called.
	Now func() time.Time

	// Backoff holds the pauses, on this server's clock, after a delivery's first,
	// second, … failure; the last one repeats. Nil means 0.2 s, 1 s, 5 s, 15 s, 1 min, 5 min, 30 min, 1 h.
	// A test that wants no redelivery by itself gives one very long pause.
	Backoff []time.Duration

	// DeliveryTimeout bounds one delivery, answer included. 0 means 10 seconds.
	DeliveryTimeout time.Duration

	// OnCreate, when set, is called with each new session after it exists and
	// before the call that created it is answered. The answer waits for it: a
	// test pays in it to have the webhook arrive first. It may call any method
	// of the Server and may be called from several goroutines at once.
	OnCreate func(Session)

	// OnRefund is the same for each refund that a call makes: its events can be
	// delivered before the call is answered.
	OnRefund func(Refund)

	// PendingRefunds makes all refunds pending until a test settles them; see also
	// MakeRefundsPending.
	PendingRefunds bool
}

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
	intents    store[PaymentIntent]
	charges    store[Charge]
	refunds    store[Refund]
	disputes   store[Dispute]   // by charge
	balance    map[string]Money // by currency

	pendingRefunds int // how many of the next refunds will be pending

	events     []*event // oldest first
	pending    []*event // of these, the ones Run has still to deliver
	replies    map[string]*reply
	replyOrder []*reply // oldest first
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
		intents:   newStore[PaymentIntent](),
		charges:   newStore[Charge](),
		refunds:   newStore[Refund](),
		disputes:  newStore[Dispute](),
		balance:   map[string]Money{},
		replies:   map[string]*reply{},
	}
	s.routes()
	return s, nil
}

func (o Options) check() error {
	if o.SecretKey == "" {
		return errors.New("no secret key")
	}
	if strings.HasPrefix(o.SecretKey, "sk_live_") || strings.HasPrefix(o.SecretKey, "rk_live_") {
		return errors.New("the secret key is a live one")
	}
	if o.PublicURL != "" && !absoluteURL(o.PublicURL) {
		return errors.New("the public URL is not an absolute http(s) URL")
	}
	if o.WebhookURL != "" && !absoluteURL(o.WebhookURL) {
		return errors.New("the webhook URL is not an absolute http(s) URL")
	}
	if o.WebhookURL != "" && o.WebhookSecret == "" {
		return errors.New("a webhook URL without a webhook secret")
	}
	for _, pause := range o.Backoff {
		if pause <= 0 {
			return errors.New("a pause between deliveries is not positive")
		}
	}
	if o.DeliveryTimeout < 0 {
		return errors.New("the delivery timeout is negative")
	}
	return nil
}

// absoluteURL tells whether s is a URL that a browser can be sent to.
func absoluteURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
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
