package booking

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/booking-platform/booking-platform/internal/periodic"
	"github.com/booking-platform/booking-platform/internal/pg"
)

// Options are what [New] can do without; the zero value works.
type Options struct {
	// Logger receives what is worth knowing; nil discards it.
	Logger *slog.Logger
	// MaxHoldsPerEmail and MaxHoldsPerClient bound how much of the calendar is taken
	// without payment: the open holds, and the upcoming bookings of amount 0, that one
	// e-mail address has from one [HoldRequest.Client], and that one client has for all
	// addresses; up to 1000 each, 0 is no limit. A request above one gets a
	// [*HoldLimitError]. They are exact on any number of replicas that have the same
	// limits. A hold is open until it is confirmed, given back or past its time; a free
	// booking counts until it begins or is cancelled. Addresses are compared without
	// regard to letter case. Requests without a client are those of one client, which
	// only the limits per address bound.
	//
	// MaxHoldsPerEmail is per client so that one client cannot use up the limit of a
	// customer by holding in the customer's name. MaxHoldsPerEmailAnywhere bounds one
	// address over all clients; 0 is no limit. The first hold of an address from each
	// client does not count for it, so it locks no customer out. It must not be less than
	// MaxHoldsPerEmail.
	MaxHoldsPerEmail, MaxHoldsPerClient, MaxHoldsPerEmailAnywhere int
	// OwnerSecrets make the owner tokens of bookings and the tokens of private calendars,
	// at least 32 bytes each. The first makes new ones, and a token is good only as long
	// as the secret that it names is listed. To replace a secret, put another one in
	// front, and take the old one out once [Store.SecretUse] says that nothing depends on
	// it. Without any, bookings have no owner tokens, and calendars have tokens that name
	// no secret.
	OwnerSecrets []string
	// CompleteAfter is how long after their end [Store.CompletePast] completes confirmed
	// bookings, so that there is time to note who did not come; 0 is never. It must not
	// be negative.
	CompleteAfter time.Duration
	// Prepare keeps the statements of a hold, a confirmation, a move and a list of slots
	// prepared on each connection, which saves Postgres from reading and planning them
	// each time, and lib/pq without binary_parameters=yes its second round trip. The
	// first use on a connection is a round trip more. It is not for a pooler in
	// transaction mode that knows nothing of prepared statements, nor for connections
	// that are cleared of them in between. [Store.Tx] is without it.
	Prepare bool
	// OnStep is called after each step of [Store.Run] with its name,
	// "booking.ReleaseExpired" or "booking.CompletePast", how long it took and how many
	// bookings it changed. It must be safe for concurrent use. nil is no observer.
	OnStep func(step string, took time.Duration, items int, err error)
}

// Store keeps resources and bookings in Postgres. It is safe for concurrent use, and on
// any number of replicas at once: what it keeps in memory are the rules of resources, and
// nothing is sold by rules that the database, as the statement that sells sees it, no
// longer has.
type Store struct {
	db *sql.DB
	// single runs what is one statement, without a transaction around it.
	single Querier
	log    *slog.Logger
	cache  cache

	holdLimits    holdLimits
	secrets       []ownerSecret
	completeAfter time.Duration
	onStep        periodic.Observer
	// besideWait is maxBesideWait, but in tests that ask what comes of it on a machine of
	// whatever speed.
	besideWait time.Duration
}

// New returns a store on a database that has the set Booking of package migrations. It
// asks the database nothing, and never closes it. A nil db is an error, and so are
// options out of their bounds.
//
// Every method takes one connection of db at a time, for one short statement or
// transaction. The usual hold, confirmation and list of slots is one statement in one
// round trip; lib/pq without binary_parameters=yes adds one to each.
func New(db *sql.DB, opts Options) (*Store, error) {
	if db == nil {
		return nil, errors.New("booking: new store: no database")
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	limits, err := newHoldLimits(opts)
	err = errors.Join(err, secretsProblem(opts.OwnerSecrets))
	if opts.CompleteAfter < 0 {
		err = errors.Join(err, errors.New("CompleteAfter must not be negative"))
	}
	if err != nil {
		return nil, fmt.Errorf("booking: new store: %w", err)
	}
	var secrets []ownerSecret
	for _, secret := range opts.OwnerSecrets {
		secrets = append(secrets, newOwnerSecret(secret))
	}
	var single Querier = db
	if opts.Prepare {
		single = &preparing{DB: db}
	}
	return &Store{
		db: db, single: single, log: opts.Logger, holdLimits: limits,
		secrets: secrets, completeAfter: opts.CompleteAfter, onStep: opts.OnStep, besideWait: maxBesideWait,
	}, nil
}

// runner runs one step of an operation: the store's on its own database, a [Tx]'s on the
// caller's connection.
type runner func(ctx context.Context, step func(Querier) error) error

// maxReruns bounds how often a step that Postgres ended in favour of another transaction
// is run again.
const maxReruns = 10

// run does a step of one statement as a transaction of its own. It needs no BEGIN, and so
// no further round trip; its isolation is then the role's default. Where that is above
// READ COMMITTED, Postgres may refuse it with 40001, and it is run again in a transaction
// that names READ COMMITTED. The statement is not cancelled when ctx ends, see package
// pg: the step returns [pg.ErrUnconfirmed] then, and the statement may still succeed.
func (s *Store) run(ctx context.Context, step func(Querier) error) error {
	return s.retry(ctx, step, step(committing{s.single, s.db}))
}

// read is run for a step that changes nothing. The end of ctx cancels it.
func (s *Store) read(ctx context.Context, step func(Querier) error) error {
	return s.retry(ctx, step, step(s.single))
}

// retry repeats a step that Postgres ended in favour of another transaction.
func (s *Store) retry(ctx context.Context, step func(Querier) error, err error) error {
	for n := 1; n <= maxReruns && IsRetryable(err); n++ {
		s.log.DebugContext(ctx, "booking: run again", "sqlstate", sqlState(err), "run", n)
		err = s.transact(ctx, step)
	}
	return err
}

// transact does a step of one or several statements in one transaction.
func (s *Store) transact(ctx context.Context, step func(Querier) error) error {
	return pg.InTx(ctx, s.db, func(tx *sql.Tx) error {
		if p, ok := s.single.(*preparing); ok {
			return step(preparedTx{tx, p})
		}
		return step(tx)
	})
}

// prepared lists the statements that are worth keeping prepared: those of the hot path,
// and those of a move, which has the resource locked while they run.
var prepared = map[string]bool{
	holdSQL: true, confirm.sql: true, confirmLate.sql: true, takenSQL: true, takenOneSQL: true, bookingByIDSQL: true,
	lockForMoveSQL: true, seatsSQL: true, reserveSQL: true, moveSQL: true,
}

// preparing is a database whose hot statements are prepared once on each connection that
// runs them; database/sql sees to that, and prepares them again on a connection that is
// new. They are closed with their connection or their database.
type preparing struct {
	*sql.DB

	mu         sync.Mutex
	statements map[string]*sql.Stmt
}

// QueryContext runs a statement, prepared where it is one of the hot ones. While another
// caller is preparing it, it runs as it is.
func (p *preparing) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if !prepared[query] {
		return p.DB.QueryContext(ctx, query, args...)
	}
	s, err := p.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return p.DB.QueryContext(ctx, query, args...)
	}
	return s.QueryContext(ctx, args...)
}

// preparedTx is a transaction of the store's own that runs the statements which are
// prepared.
type preparedTx struct {
	*sql.Tx
	prepared *preparing
}

// QueryContext runs a statement, prepared where the database has it so. It makes none:
// that takes a connection more, while the transaction has one, and where the pool has no
// other it would wait for itself.
func (t preparedTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	t.prepared.mu.Lock()
	s := t.prepared.statements[query]
	t.prepared.mu.Unlock()
	if s == nil {
		return t.Tx.QueryContext(ctx, query, args...)
	}
	return t.StmtContext(ctx, s).QueryContext(ctx, args...)
}

// prepareMoves makes the statements of a move before its transaction begins.
func (p *preparing) prepareMoves(ctx context.Context) error {
	for _, query := range []string{lockForMoveSQL, seatsSQL, reserveSQL, moveSQL} {
		if _, err := p.statement(ctx, query); err != nil {
			return err
		}
	}
	return nil
}

// statement makes a statement on its first use, and keeps it; nil while another caller is
// making it. One makes it, and nobody waits for that: one too many would have to be
// closed, and that waits for its connection, on which somebody may be waiting for us.
func (p *preparing) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	p.mu.Lock()
	s, begun := p.statements[query]
	if !begun {
		if p.statements == nil {
			p.statements = map[string]*sql.Stmt{}
		}
		p.statements[query] = nil
	}
	p.mu.Unlock()
	if begun {
		return s, nil
	}
	made, err := p.DB.PrepareContext(ctx, query)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		// The next caller tries again.
		delete(p.statements, query)
		return nil, err
	}
	p.statements[query] = made
	return made, nil
}
