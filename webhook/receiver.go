package webhook

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"
)

// Handler brings about what an event means, in the transaction it is given, and says what
// became of it: Processed; Ignored, when it knows that the event is another program's
// (recorded with ReasonNotOurs, and final); Unmatched, when it found no row the event is
// about, which may still come; Parked, when a person must decide. Whatever it wrote is
// committed together with the ledger row. A handler that returns Unmatched should have
// written nothing, since the event is handled again.
//
// An error, a panic, or another outcome rolls everything back and answers 500, and Stripe
// sends the event again. Return an error only for what a later attempt can heal. A
// handler may run more than once for one event, and for several events at once.
type Handler func(ctx context.Context, tx Tx, ev Event) (Outcome, error)

// Options may be left at its zero value.
type Options struct {
	// Logger gets one line per delivery; nil is silence. Payloads, headers and secrets
	// are never logged.
	Logger *slog.Logger
	// Name keeps this receiver's events apart from those of other receivers on the same
	// database: the ledger's key is name and event id, and retries, replays, lists,
	// counts and retention see their own name only. Two services with an endpoint each at
	// Stripe, which sends both the same event id, need two names; replicas of one service
	// share one. 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit;
	// empty is DefaultName.
	Name string
	// Tolerance is the greatest age of a signature, past or future; 0 is
	// DefaultTolerance.
	Tolerance time.Duration
	// MaxBody is the largest body in bytes; 0 is 1 MiB. Real events pass 64 KiB at times.
	MaxBody int64
	// Timeout bounds the reading of the body, and then again the work on it until its
	// answer; 0 is 10 s. The last fifth of it is kept for recording a failure, so a
	// handler's context ends after four fifths. Stripe's pay page waits about 10 s before
	// it sends the customer back.
	Timeout time.Duration
	// MaxInFlight is how many deliveries may use the database at once; the others wait,
	// and are answered 500 when their time is up. 0 is half of the pool's maximum as it
	// stands when New is called, or 16 where that is unlimited.
	MaxInFlight int
	// Mode keeps events of the other mode from having an effect: a test event on a live
	// host, for one. They are recorded and acknowledged as Ignored. The zero value takes
	// both.
	Mode Mode
	// Accounts are the connected accounts (acct_…) whose events are handled, beside one's
	// own; AnyAccount is all of them. An event of another account is recorded and
	// acknowledged as Ignored: its ids mean nothing here. Who has no connected accounts
	// leaves it empty.
	Accounts []string
	// MaxBadSignatures is how many deliveries without a good signature one address may
	// send in a minute until they are answered 429 and no longer logged; 0 is 100, and a
	// negative number is no limit. It is counted in a table of a fixed size in this
	// process's memory. A good signature is looked for first, so that a genuine event
	// passes wherever it comes from.
	MaxBadSignatures int
	// ClientAddress says where a request comes from, for MaxBadSignatures; nil is the
	// host part of RemoteAddr. Behind a proxy that is the proxy's.
	ClientAddress func(*http.Request) string
	// UnmatchedFor is how long an event that matches no row is tried again; then it is
	// Ignored, with ReasonNotOurs. 0 is 72 hours: what an event can wait for is another
	// event, which Stripe sends for three days. Less than a minute is an error.
	UnmatchedFor time.Duration
	// KeepPayload keeps the body of processed events in the ledger too, not only of the
	// others.
	KeepPayload bool
	// Prepare keeps the statements that are sent within the receiver's transactions
	// prepared on each connection, the handlers' own too, up to a hundred different
	// texts: it saves Postgres from reading and planning them each time, and lib/pq
	// without binary_parameters=yes its second round trip. It is not for a pooler in
	// transaction mode that knows nothing of prepared statements, nor for connections
	// that are cleared of them in between.
	Prepare bool
	// KeepPayloadFor is how long DeleteOld leaves the payload of a settled event that has
	// one; 0 is 7 days. Of an event that a replica ignored for want of a handler it is 7
	// days at least, since another replica may take it up. KeepRowsFor is how long
	// DeleteOld leaves the event itself; 0 is 90 days, and less than 30 days is an error.
	KeepPayloadFor, KeepRowsFor time.Duration
	// DeleteWaiting lets DeleteOld delete events that are still failed, unmatched or
	// parked as well.
	DeleteWaiting bool
	// Now is the clock that judges signatures, and the minute of MaxBadSignatures; nil is
	// time.Now.
	Now func() time.Time
	// Observe is called once for each delivery, before its answer is sent, possibly by
	// many goroutines at once: a place for metrics. It should return at once.
	Observe func(ctx context.Context, d Delivery)
	// OnStep is called after each run of a step of [Receiver.Run], possibly by several
	// goroutines at once: the step's name, its duration, how many events it processed,
	// and why it failed. A run that the end of the context interrupted is not reported.
	OnStep func(step string, took time.Duration, items int, err error)
}

// Receiver is the http.Handler that Stripe sends to. It is safe for concurrent use. Any
// number of them, in one process or many, may share a database: those of one name are
// replicas of one receiver, and those of different names do not see each other's events.
type Receiver struct {
	db       *sqlx.DB
	name     string
	ledger   *Ledger
	secrets  []string
	opts     Options
	log      *slog.Logger
	inflight *inflight
	counts   counters
	// prepared is nil without Options.Prepare.
	prepared   *preparing
	signatures *signatureLimiter

	mu       sync.RWMutex
	handlers map[string]Handler
	batchers map[string]*batcher
}

// New makes a receiver that keeps its ledger in db, which stays the caller's, and accepts
// what was signed with one of the secrets (whsec_…; several while one is being rolled, or
// for several endpoints). White space around a secret is removed. New fails without a
// database, without a secret, and with a value that is no signing secret: an API key, or
// several in one string. It neither connects nor starts anything.
func New(db *sql.DB, secrets []string, opts Options) (*Receiver, error) {
	if db == nil {
		return nil, errors.New("webhook: no database")
	}
	secrets, err := cleanSecrets(secrets)
	if err != nil {
		return nil, err
	}
	ledger := NewLedger(db, opts.Name)
	if ledger.err != nil {
		return nil, ledger.err
	}
	switch opts.Mode {
	case AnyMode, LiveMode, TestMode:
	default:
		return nil, fmt.Errorf("webhook: there is no mode %q", opts.Mode)
	}
	if err := opts.retention(); err != nil {
		return nil, err
	}
	if opts.MaxBody <= 0 {
		opts.MaxBody = 1 << 20
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 10 * time.Second
	}
	if opts.MaxInFlight <= 0 {
		opts.MaxInFlight = defaultInFlight(db)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.MaxBadSignatures == 0 {
		opts.MaxBadSignatures = 100
	}
	if opts.ClientAddress == nil {
		opts.ClientAddress = peer
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	var prepared *preparing
	if opts.Prepare {
		prepared = &preparing{db: db, statements: map[string]*sql.Stmt{}}
	}
	ledger.keepPayload, ledger.unmatchedFor = opts.KeepPayload, seconds(opts.UnmatchedFor)
	return &Receiver{
		prepared: prepared,
		// The name says which placeholders to write, whatever name the caller's driver
		// was registered under.
		db:         sqlx.NewDb(db, "postgres"),
		name:       ledger.name,
		ledger:     ledger,
		secrets:    secrets,
		opts:       opts,
		log:        opts.Logger,
		inflight:   newInflight(opts.MaxInFlight),
		counts:     counters{secrets: make([]atomic.Int64, len(secrets))},
		signatures: newSignatureLimiter(),
		handlers:   map[string]Handler{},
		batchers:   map[string]*batcher{},
	}, nil
}

// defaultInFlight leaves the caller's other work half of the pool.
func defaultInFlight(db *sql.DB) int {
	if limit := db.Stats().MaxOpenConnections; limit > 0 {
		return max(1, limit/2)
	}
	return 16
}

// Handle registers the handler for a type of event, checkout.session.completed for one.
// Do it before serving: an event without a handler is acknowledged as Ignored, and Stripe
// does not send it again. A handler that is new to a name is given, by
// [Receiver.RetryWaiting], the events of its type that were ignored for want of it in the
// last seven days. It panics on an empty type, a nil handler, and a second handler for a
// type, as http.ServeMux does.
func (r *Receiver) Handle(eventType string, h Handler) {
	if eventType == "" || h == nil {
		panic("webhook: Handle needs a type and a handler")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.handlers[eventType]; taken {
		panic("webhook: a second handler for " + eventType)
	}
	r.handlers[eventType] = h
}

// Name returns the receiver's name in the ledger: see Options.Name.
func (r *Receiver) Name() string { return r.name }

// Ledger returns the receiver's ledger.
func (r *Receiver) Ledger() *Ledger { return r.ledger }
