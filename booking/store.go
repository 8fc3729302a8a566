package booking

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
)

// Options are what [New] can do without; the zero value works.
type Options struct {
	// Logger receives what is worth knowing; nil discards it.
	Logger *slog.Logger
}

// Store keeps resources and bookings in Postgres. It is safe for concurrent use, and on any number of replicas at
// once: what it keeps in memory are the rules of resources, and nothing is sold by rules that the database, as the
// statement that sells sees it, no longer has.
type Store struct {
	db    *sql.DB
	log   *slog.Logger
	cache cache
}

// New returns a store on a database that has the set Booking of package migrations. It asks the database nothing, and
// never closes it. A nil db is an error.
//
// Every method takes one connection of db at a time, for one short statement or transaction. The usual hold,
// confirmation and list of slots is one statement in one round trip; lib/pq without binary_parameters=yes adds one to
// each.
func New(db *sql.DB, opts Options) (*Store, error) {
	if db == nil {
		return nil, errors.New("booking: new store: no database")
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Store{db: db, log: opts.Logger}, nil
}

// runner runs one step of an operation: the store's on its own database, a [Tx]'s on the caller's connection.
type runner func(ctx context.Context, step func(Querier) error) error

// maxReruns bounds how often a step that Postgres ended in favour of another transaction is run again.
const maxReruns = 10

// run does a step as a transaction of its own. A single statement needs no BEGIN, and so no further round trip; its
// isolation is then the role's default. Where that is above READ COMMITTED Postgres may refuse it with 40001, and it
// is run again in a transaction that asks for READ COMMITTED by name.
func (s *Store) run(ctx context.Context, step func(Querier) error) error {
	err := step(s.db)
	for n := 1; n <= maxReruns && IsRetryable(err); n++ {
		s.log.DebugContext(ctx, "booking: run again", "sqlstate", sqlState(err), "run", n)
		err = s.transact(ctx, step)
	}
	return err
}

// transact does a step of one or several statements in one transaction.
func (s *Store) transact(ctx context.Context, step func(Querier) error) error {
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	// After a commit this does nothing.
	defer func() { _ = tx.Rollback() }()
	if err := step(tx); err != nil {
		return err
	}
	return tx.Commit()
}
