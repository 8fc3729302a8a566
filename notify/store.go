package notify

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/booking-platform/booking-platform/internal/periodic"
	"github.com/booking-platform/booking-platform/internal/pg"
)

// Querier runs statements: *sql.Tx, *sql.Conn, *sqlx.Tx and the transactions of the hooks
// of packages booking, payments and webhook satisfy it.
type Querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Kind handles the messages of one kind. It has either Compose or Expand.
type Kind struct {
	// Compose returns the mail of a message that is about to be sent. It reads what it
	// tells from the current state, outside a transaction. [Drop] drops the message; any
	// other error is a failed attempt, repeated later. The text of an error is stored, so
	// it must have no personal data.
	Compose func(ctx context.Context, m Message) (Mail, error)
	// Expand returns the messages that are made of this one, for example one for the
	// customer and one for the owner. They are enqueued in the transaction that settles
	// the message, so each is there once. Errors are as in Compose.
	Expand func(ctx context.Context, m Message) ([]Draft, error)
}

// Result is the result of an attempt.
type Result string

// The results of attempts.
const (
	ResultSent     Result = "sent"
	ResultExpanded Result = "expanded"
	ResultDropped  Result = "dropped"
	ResultRefused  Result = "refused"
	// ResultFailed: it is tried again later.
	ResultFailed Result = "failed"
	// ResultUncertain: the result is not known, so that the next attempt may send the mail
	// a second time. It is reported by the next attempt if the process ended.
	ResultUncertain Result = "uncertain"
)

// Options configure [New]; the zero value works.
type Options struct {
	// Logger gets a line for each message that is refused, without its recipient; nil
	// discards it.
	Logger *slog.Logger
	// Domain ends the Message-IDs: a host name of the sender's. The default is
	// "localhost".
	Domain string
	// Sender sends the mails. nil sends nothing: [Store.Run] then only drops messages that
	// were due for longer than GiveUpAfter, and deletes old ones.
	Sender Sender
	// Kinds are the kinds by name. Messages of other kinds wait for a replica that knows
	// them.
	Kinds map[string]Kind
	// Parallel is how many messages are sent at once; the default is 4.
	Parallel int
	// Timeout bounds composing and sending one message; the default is one minute, and the
	// maximum two.
	Timeout time.Duration
	// GiveUpAfter is how long after it was due a message is refused if no attempt was
	// accepted; the default is three days.
	GiveUpAfter time.Duration
	// KeepFor is how long settled messages are kept; the default is 90 days. Refused ones
	// are deleted too.
	KeepFor time.Duration
	// OnResult is called after each attempt, concurrently. May be nil.
	OnResult func(kind string, result Result)
	// OnStep observes the steps of [Store.Run]. It must be safe for concurrent use. May be
	// nil.
	OnStep func(step string, took time.Duration, items int, err error)
}

// Store is the outbox. It is safe for concurrent use and on any number of replicas.
type Store struct {
	db    *sql.DB
	log   *slog.Logger
	opts  Options
	kinds string // Comma separated.
	// claims alternates the order in which messages are claimed.
	claims atomic.Uint64
}

// New returns a store on a database that has the set Notify of package migrations,
// without using it yet.
func New(db *sql.DB, opts Options) (*Store, error) {
	if db == nil {
		return nil, errors.New("notify: new store: no database")
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	opts.Domain = cmp.Or(opts.Domain, "localhost")
	opts.Parallel = cmp.Or(opts.Parallel, 4)
	opts.Timeout = cmp.Or(opts.Timeout, time.Minute)
	opts.GiveUpAfter = cmp.Or(opts.GiveUpAfter, 72*time.Hour)
	opts.KeepFor = cmp.Or(opts.KeepFor, 90*24*time.Hour)
	var bad []error
	if !isLine(opts.Domain) || strings.ContainsAny(opts.Domain, "@<> ") {
		bad = append(bad, errors.New("the domain is no host name"))
	}
	if opts.Parallel < 1 || opts.Parallel > batch {
		bad = append(bad, fmt.Errorf("option Parallel must be between 1 and %d", batch))
	}
	if opts.Timeout < 0 || opts.Timeout > 2*time.Minute {
		bad = append(bad, errors.New("option Timeout must be at most two minutes"))
	}
	if opts.GiveUpAfter < 0 || opts.KeepFor < 0 {
		bad = append(bad, errors.New("options GiveUpAfter and KeepFor must not be negative"))
	}
	for name, kind := range opts.Kinds {
		if name == "" || strings.Contains(name, ",") || (kind.Compose == nil) == (kind.Expand == nil) {
			bad = append(bad, fmt.Errorf("kind %q needs a name and either Compose or Expand", name))
		}
	}
	if len(bad) > 0 {
		return nil, fmt.Errorf("notify: new store: %w", errors.Join(bad...))
	}
	return &Store{db: db, log: opts.Logger, opts: opts,
		kinds: strings.Join(slices.Sorted(maps.Keys(opts.Kinds)), ",")}, nil
}

// Run sends what is due, about every second, and once an hour drops what has become too
// old and deletes settled messages, until ctx ends; then it returns nil. Safe on every
// replica at once. Failed runs are logged. Options.OnStep gets the names of [Steps].
func (s *Store) Run(ctx context.Context) error {
	periodic.Run(ctx, s.log, s.opts.OnStep, s.rounds()...)
	return nil
}

// Steps returns the names of the steps that [Store.Run] reports to Options.OnStep.
func Steps() []string { return []string{"notify.DeleteOld", "notify.Send"} }

func (s *Store) rounds() []periodic.Round {
	rounds := []periodic.Round{{Every: time.Hour, Steps: []periodic.Step{
		{Name: "notify.DeleteOld", Timeout: time.Minute, Do: s.DeleteOld},
	}}}
	if s.opts.Sender != nil {
		rounds = append(rounds, periodic.Round{Every: time.Second, Steps: []periodic.Step{
			{Name: "notify.Send", Timeout: 10 * time.Minute, Do: s.Send},
		}})
	}
	return rounds
}

// read runs one statement that changes nothing.
func read[T any](ctx context.Context, s *Store, what string, do func(pg.Querier) (T, error)) (T, error) {
	value, err := pg.Read(ctx, s.db, func(_ context.Context, q pg.Querier) (T, error) { return do(q) })
	return value, wrap(ctx, what, err)
}

// exec runs one statement that commits by itself, and returns how many rows it changed.
func (s *Store) exec(ctx context.Context, what, query string, args ...any) (int, error) {
	result, err := pg.Exec(ctx, s.db, query, args...)
	if err != nil {
		return 0, wrap(ctx, what, err)
	}
	n, err := result.RowsAffected()
	return int(n), wrap(ctx, what, err)
}

// wrap prefixes a database error. A driver may report a cancelled statement with its own
// error, so wrap adds the context's.
func wrap(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
		return fmt.Errorf("notify: %s: %w: %w", what, ended, err)
	}
	return fmt.Errorf("notify: %s: %w", what, err)
}
