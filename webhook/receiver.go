package webhook

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// Handler applies an event in the transaction it is given, and returns the outcome:
// Processed; Ignored if the event belongs to another handler or program; Unmatched if it
// found no row for the event yet; Parked if an operator must decide. After Processed and
// Parked its changes are committed together with the ledger row; after Ignored and
// Unmatched they are rolled back, and the next handler of the type is called.
//
// An error, a panic or any other outcome rolls back and answers 500, and Stripe sends the
// event again: return an error only for what a later attempt can fix. A handler may run
// more than once for one event, and concurrently for several.
type Handler func(ctx context.Context, tx Tx, ev Event) (Outcome, error)

// Options configures [New]. The zero value works.
type Options struct {
	// Logger gets one line per delivery, without payloads, headers and secrets; nil
	// discards.
	Logger *slog.Logger
	// Name separates the events of receivers that share a database. Two services that
	// both receive an event from Stripe need two names; replicas share one. It is 1 to 63
	// of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit; empty is
	// DefaultName.
	Name string
	// Tolerance is the greatest difference between a signature's time and Now; 0 is
	// DefaultTolerance.
	Tolerance time.Duration
	// MaxBody is the largest body in bytes; 0 is 1 MiB. Some events exceed 64 KiB.
	MaxBody int64
	// Timeout bounds reading the body, and then processing the event; 0 is 10 s, as long
	// as Stripe's payment page waits. A handler's context ends after four fifths of it.
	Timeout time.Duration
	// MaxInFlight is how many deliveries may use the database at once. Others wait, and
	// get 500 after Timeout. 0 is half of the pool, or 16 if it has no limit.
	MaxInFlight int
	// Mode selects live or test events; the zero value selects both. Others are Ignored.
	Mode Mode
	// Accounts lists the connected accounts (acct_…) whose events are processed besides
	// the platform's own; AnyAccount means all. Events of others are Ignored.
	Accounts []string
	// MaxBadSignatures is how many deliveries with a bad signature one address may send
	// per minute to this process before it gets 429 and is no longer logged; 0 is 100,
	// negative is no limit. A good signature is never refused.
	MaxBadSignatures int
	// ClientAddress returns the address for MaxBadSignatures; nil uses RemoteAddr.
	ClientAddress func(*http.Request) string
	// UnmatchedFor is how long an unmatched event is retried before it is Ignored with
	// ReasonNotOurs; 0 is 72 hours, as long as Stripe sends the event it may depend on.
	// Less than a minute is an error.
	UnmatchedFor time.Duration
	// KeepPayload stores the body of processed events too.
	KeepPayload bool
	// Prepare keeps up to 100 statements of the receiver's and handlers' transactions
	// prepared on each connection. It saves planning, and with lib/pq without
	// binary_parameters=yes a round trip per statement. It needs a pooler, if any, that
	// supports prepared statements.
	Prepare bool
	// KeepPayloadFor is how long DeleteOld keeps the payload of a settled event; 0 is 7
	// days. KeepRowsFor is how long it keeps the event; 0 is 90 days, less than 30 days
	// is an error.
	KeepPayloadFor, KeepRowsFor time.Duration
	// PersonalDataFor is how long failed and parked events keep their payload as it came:
	// DeleteOld then redacts it, see [Redact], and they can still be replayed. 0 means for
	// ever; negative is an error.
	PersonalDataFor time.Duration
	// Erased reports whether an event is about a person whose data was erased: its payload
	// is then stored redacted, or not at all, so that a late event does not bring the person
	// back. It is called, in the event's transaction, only when the payload is about to be
	// stored, and must only read. nil means no. See payments.Payments.IsErased.
	Erased func(ctx context.Context, q Querier, ev Event) (bool, error)
	// DeleteWaiting lets DeleteOld also delete failed, unmatched and parked events.
	DeleteWaiting bool
	// Now is the clock for signatures and MaxBadSignatures; nil is time.Now.
	Now func() time.Time
	// Observe is called for each delivery before its response, concurrently. It must
	// return quickly.
	Observe func(ctx context.Context, d Delivery)
	// OnStep is called after each run of a step of [Receiver.Run], concurrently, with the
	// step's name, its duration, the number of events it processed and its error, unless
	// the end of the context interrupted the run.
	OnStep func(step string, took time.Duration, items int, err error)
}

// Receiver is the http.Handler for Stripe's deliveries. It is safe for concurrent use.
// Receivers with the same name on one database are replicas.
type Receiver struct {
	db         *sqlx.DB
	name       string
	ledger     *Ledger
	secrets    []string
	opts       Options
	log        *slog.Logger
	inflight   *inflight
	counts     counters
	prepared   *pg.Statements
	signatures *signatureLimiter

	mu       sync.RWMutex
	handlers map[string][]Handler
	others   []Handler
	batchers map[string]*batcher
}

// New returns a receiver with its ledger in db, for deliveries signed with one of the
// secrets (whsec_…): several while one is rotated, or for several endpoints. White space
// around a secret is removed. It returns an error for a missing database, secrets that
// are missing or invalid, and invalid options. It does not talk to the database.
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
	var prepared *pg.Statements
	if opts.Prepare {
		prepared = pg.NewStatements(db, maxPrepared)
	}
	ledger.keepPayload, ledger.unmatchedFor = opts.KeepPayload, seconds(opts.UnmatchedFor)
	return &Receiver{
		prepared: prepared,
		// Fixes the placeholder style, whatever name the driver is registered under.
		db:         sqlx.NewDb(db, "postgres"),
		name:       ledger.name,
		ledger:     ledger,
		secrets:    secrets,
		opts:       opts,
		log:        opts.Logger,
		inflight:   newInflight(opts.MaxInFlight),
		counts:     counters{secrets: make([]atomic.Int64, len(secrets))},
		signatures: newSignatureLimiter(),
		handlers:   map[string][]Handler{},
		batchers:   map[string]*batcher{},
	}, nil
}

func defaultInFlight(db *sql.DB) int {
	if limit := db.Stats().MaxOpenConnections; limit > 0 {
		return max(1, limit/2)
	}
	return 16
}

// Handle adds a handler for a type of event, such as checkout.session.completed. The
// handlers of a type are called in the order of registration, each in a transaction of
// its own, until one returns Processed, Parked or an error. If all return Unmatched or
// Ignored, the event is Unmatched if one of them said so, and otherwise Ignored with
// ReasonNotOurs. So handlers of which each knows its own rows may be registered in any
// order. A handler that returns Unmatched or Ignored costs three round trips more than
// its statements; the others do not count.
//
// Register before serving: Stripe does not send an event again that was Ignored without a
// handler. [Receiver.RetryWaiting] passes a new handler such events of the last seven
// days. Handle panics on an empty type, "*" (see [Receiver.HandleOther]) and a nil
// handler.
func (r *Receiver) Handle(eventType string, h Handler) {
	if eventType == "" || eventType == "*" || h == nil {
		panic("webhook: Handle needs a type and a handler; HandleOther is for every other type")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handlers[eventType] = append(r.handlers[eventType], h)
}

// HandleOther adds a handler for the events of every type that has no handler of its own,
// under the rules of [Receiver.Handle]. It panics on a nil handler.
func (r *Receiver) HandleOther(h Handler) {
	if h == nil {
		panic("webhook: HandleOther needs a handler")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.others = append(r.others, h)
}

// Name returns the receiver's name: see Options.Name.
func (r *Receiver) Name() string { return r.name }

// Ledger returns the receiver's ledger.
func (r *Receiver) Ledger() *Ledger { return r.ledger }

// Mode selects events by Stripe's mode.
type Mode string

const (
	// AnyMode selects live and test events.
	AnyMode Mode = ""
	// LiveMode selects live events.
	LiveMode Mode = "live"
	// TestMode selects test events.
	TestMode Mode = "test"
)

// AnyAccount in Options.Accounts means every connected account.
const AnyAccount = "*"

// filter returns why an event is not for this receiver, or "".
func (r *Receiver) filter(ev Event) Reason {
	switch {
	case r.opts.Mode == LiveMode && !ev.Livemode:
		return ReasonTestMode
	case r.opts.Mode == TestMode && ev.Livemode:
		return ReasonLiveMode
	case ev.Account != "" && !slices.Contains(r.opts.Accounts, ev.Account) &&
		!slices.Contains(r.opts.Accounts, AnyAccount):
		return ReasonOtherAccount
	}
	return ""
}

// handlersFor returns the handlers for an event, or none and the reason.
func (r *Receiver) handlersFor(ev Event) ([]Handler, Reason) {
	if why := r.filter(ev); why != "" {
		return nil, why
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	handlers := r.handlers[ev.Type]
	if len(handlers) == 0 {
		handlers = r.others
	}
	if len(handlers) == 0 {
		return nil, ReasonNoHandler
	}
	return handlers, ""
}

// batcher returns the batcher for an event, or nil.
func (r *Receiver) batcher(ev Event) *batcher {
	if handlers, _ := r.handlersFor(ev); len(handlers) == 0 {
		return nil
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.batchers[ev.Type]
}

// separator joins lists; no event type and no account contains it.
const separator = "\x1f"

// scopeSQL is true of an event that this receiver has a handler for, by type, mode and
// account. The planner treats the lists as constants, and knows from its statistics how
// rare the types are.
const scopeSQL = `($2::text IS NULL OR e.type = ANY (string_to_array($2::text, E'\x1f')))
	AND ($3::text = '' OR e.livemode = ($3::text = 'live'))
	AND ($4::text IS NULL OR e.account = ANY (string_to_array($4::text, E'\x1f')))`

// scope returns the parameters of scopeSQL: the types with a handler, where nil means all
// types, and the accounts, of which the platform's own is the empty one, where nil means
// all accounts.
func (r *Receiver) scope() (types, accounts *string) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.others) == 0 {
		list := strings.Join(slices.Sorted(maps.Keys(r.handlers)), separator)
		types = &list
	}
	if !slices.Contains(r.opts.Accounts, AnyAccount) {
		list := separator + strings.Join(r.opts.Accounts, separator)
		accounts = &list
	}
	return types, accounts
}
