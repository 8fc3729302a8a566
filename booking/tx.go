package booking

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/jmoiron/sqlx/reflectx"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// Tx is the store inside a transaction of the caller's: what it does is there when the
// caller commits, and was never done when the caller rolls back. So an order, its booking
// and the event that caused them commit together or not at all, where two transactions
// leave a booking without an order when the program dies in between.
//
// A Tx never commits, rolls back, retries, sets anything or uses savepoints. A refusal
// ([ErrSlotTaken], [*ValidationError], [*StatusError], …) leaves the transaction as
// usable as before; an error of the database's ends it, as always in Postgres. When
// [IsRetryable] is true of an error, nothing was wrong with the request: roll back, and
// run the whole transaction again from its beginning. What to expect:
//
//   - READ COMMITTED is the level to use. Above it Postgres refuses with 40001 what READ
//     COMMITTED sorts out, a hold in whose way others have just been cannot be decided on
//     (run it again), and a resource that was changed by SQL is sold by the rules and the
//     price it had when the transaction began.
//   - A hold waits for other transactions that have taken the same units and not ended,
//     and they wait for this one: up to lock_timeout (55P03), where one is set. Keep such
//     transactions short; no network calls.
//   - Transactions that take several slots in different orders can deadlock; Postgres
//     ends one of them with 40P01. Take slots in one order, say by resource and start,
//     and it is rare.
//   - Where an expired hold is in the way, or neighbours have to be re-seated, the store
//     does that on a connection of its own, besides the caller's, and it stays done even
//     if the caller rolls back. That waits a second at most; when it cannot be done in
//     that time, because the pool has only the caller's connection, say, or because the
//     bookings in the way are this transaction's own, the error is retryable:
//     [Store.ReleaseExpired] between the two runs makes room as well.
//   - A context that ends in the middle of a statement ends the transaction.
//   - Begin it under a context that cannot be cancelled, pass the request's context to
//     the statements, and ask ctx.Err() before Commit. lib/pq and pgx send a cancel
//     request when the context given to BeginTx ends, during COMMIT too; where the commit
//     waits for a synchronous standby, Postgres then reports success for what only the
//     primary has.
//
// Times are judged when each statement begins, not when the transaction did.
type Tx struct {
	store *Store
	q     Querier
}

// Tx returns the operations that join the transaction q has open: a *sql.Tx, a *sqlx.Tx,
// or a *sql.Conn on which the caller has begun one in whatever way. It must be on the
// store's database. Like q, it is not for concurrent use. Where q is a pool of
// connections and so no transaction, every operation is refused with [ErrNoTransaction]
// and does nothing.
func (s *Store) Tx(q Querier) *Tx { return &Tx{store: s, q: transaction(q)} }

// run does a step once, on the caller's connection.
func (t *Tx) run(_ context.Context, step func(Querier) error) error { return step(t.q) }

// Hold is [Store.Hold] in the caller's transaction: the units are taken for everyone else
// from now on, and given back if the caller rolls back. One round trip without
// contention, once the rules are in memory.
func (t *Tx) Hold(ctx context.Context, req HoldRequest) (Booking, error) {
	h := &holder{store: t.store, run: t.run, caller: t.q}
	b, err := h.hold(ctx, req)
	return b, wrap(ctx, "hold", err)
}

// Confirm is [Store.Confirm] in the caller's transaction. One round trip when it
// confirms.
func (t *Tx) Confirm(ctx context.Context, id string) (Booking, error) {
	return confirm.do(ctx, t.run, id, actorOf(ctx), "")
}

// ConfirmLate is [Store.ConfirmLate] in the caller's transaction. One round trip when it
// confirms.
func (t *Tx) ConfirmLate(ctx context.Context, id string) (Booking, error) {
	return confirmLate.do(ctx, t.run, id, actorOf(ctx), "")
}

// Release is [Store.Release] in the caller's transaction.
func (t *Tx) Release(ctx context.Context, id string) (Booking, error) {
	return release.do(ctx, t.run, id, actorOf(ctx), "")
}

// Extend is [Store.Extend] in the caller's transaction.
func (t *Tx) Extend(ctx context.Context, id string, until time.Time) (Booking, error) {
	return extendTo(ctx, t.run, id, until)
}

// Get is [Store.Get] in the caller's transaction, which sees its own changes.
func (t *Tx) Get(ctx context.Context, id string) (Booking, error) { return get(ctx, t.run, id) }

// List is [Store.List] in the caller's transaction, which sees its own changes.
func (t *Tx) List(ctx context.Context, opts ListOptions) (Page, error) { return list(ctx, t.run, opts) }

// Count is [Store.Count] in the caller's transaction, which sees its own changes.
func (t *Tx) Count(ctx context.Context, opts ListOptions) (Count, error) {
	return countBookings(ctx, t.run, opts)
}

// maxBesideWait bounds how long a hold in a caller's transaction waits for a connection
// besides the caller's and for whoever has the bookings locked that are in the way. That
// may be the caller itself, whose connection we keep busy: then waiting longer would be
// in vain.
const maxBesideWait = time.Second

// maxReseats bounds how often neighbours are re-seated for one hold in a caller's
// transaction, whose own bookings nobody else sees: where they are in the way it does not
// help.
const maxReseats = 5

const isolationSQL = `SELECT current_setting('transaction_isolation') AS isolation`

// makeRoom releases the expired holds in the way.
func (h *holder) makeRoom(ctx context.Context, r *rules, start time.Time) error {
	from, to := r.blocked(start)
	return h.beside(ctx, "release expired holds", func(ctx context.Context) error {
		return h.store.makeRoom(ctx, r.ID, from, to)
	})
}

// reseat gives the neighbours of a slot other units, so that some are free for the party.
func (h *holder) reseat(ctx context.Context, r *rules, start time.Time, party int) error {
	if h.caller != nil {
		if h.reseats++; h.reseats > maxReseats {
			return fmt.Errorf("re-seat neighbours: this transaction's own bookings are in the way: %w", errRunAgain)
		}
	}
	from, to := r.blocked(start)
	return h.beside(ctx, "re-seat neighbours", func(ctx context.Context) error {
		return h.store.reseat(ctx, r, from, to, party)
	})
}

// beside does what is in the way of a hold in a transaction of the store's own, also
// where the hold is in a caller's: others must see it, whatever becomes of that.
func (h *holder) beside(ctx context.Context, what string, do func(context.Context) error) error {
	if h.caller == nil {
		return do(ctx)
	}
	bounded, cancel := context.WithTimeout(ctx, h.store.besideWait)
	defer cancel()
	err := do(bounded)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%s: not done within %s: %w", what, h.store.besideWait, errRunAgain)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	type row struct {
		Isolation string `db:"isolation"`
	}
	tx, _, err := selectOne[row](ctx, h.caller, isolationSQL)
	if err != nil {
		return err
	}
	if tx.Isolation != "read committed" && tx.Isolation != "read uncommitted" {
		return fmt.Errorf("%s: done, which this transaction cannot see: %w", what, errRunAgain)
	}
	return nil
}

// Querier is what a caller's transaction is used through: *sql.Tx, *sqlx.Tx and *sql.Conn
// satisfy it.
type Querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// ErrNoTransaction means that [Store.Tx] was given a pool of connections, such as a
// *sql.DB or a *sqlx.DB, or nothing at all: each statement would then commit alone, and
// on a connection of its own, and an operation that fails in the middle would leave its
// first half behind.
var ErrNoTransaction = errors.New("not a transaction: pass a *sql.Tx, or a *sql.Conn on which one has begun")

// transaction returns q, or a Querier that refuses every statement where q is no
// transaction: what has the statistics of a pool or begins transactions, except a single
// connection, on which the caller may have begun one in any way.
func transaction(q Querier) Querier {
	switch q := q.(type) {
	case nil, interface{ Stats() sql.DBStats }, interface{ Begin() (*sql.Tx, error) }:
		return refusing{}
	case interface{ Raw(func(any) error) error }:
		return q.(Querier)
	case interface {
		BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error)
	}:
		return refusing{}
	}
	return q
}

// refusing stands in the place of what is no transaction. The package runs no statement
// through QueryRowContext, whose result cannot carry an error that is not the driver's.
type refusing struct{ Querier }

func (refusing) ExecContext(context.Context, string, ...any) (sql.Result, error) {
	return nil, ErrNoTransaction
}

func (refusing) QueryContext(context.Context, string, ...any) (*sql.Rows, error) {
	return nil, ErrNoTransaction
}

// mapper reads the db tags of our own row types. sqlx's default is a global variable that
// belongs to the program, and the caller's *sqlx.Tx has the caller's.
var mapper = reflectx.NewMapper("db")

// selectAll runs a query in one round trip and scans every row into a T by its db tags.
func selectAll[T any](ctx context.Context, q Querier, query string, args ...any) ([]T, error) {
	if c, ok := q.(committing); ok {
		return pg.Write(ctx, c.db, func(ctx context.Context) ([]T, error) {
			return selectAll[T](ctx, c.Querier, query, args...)
		})
	}
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	scanner := &sqlx.Rows{Rows: rows, Mapper: mapper}
	var out []T
	for scanner.Next() {
		var row T
		if err := scanner.StructScan(&row); err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	if err := scanner.Err(); err != nil {
		return nil, err
	}
	// An error of the commit, where the statement is a transaction of its own, may come
	// as late as here.
	return out, rows.Close()
}

// selectOne is selectAll for a query with at most one row; false when there is none.
func selectOne[T any](ctx context.Context, q Querier, query string, args ...any) (T, bool, error) {
	var none T
	rows, err := selectAll[T](ctx, q, query, args...)
	if err != nil || len(rows) == 0 {
		return none, false, err
	}
	return rows[0], true, nil
}

// committing runs single statements that commit by themselves, see [pg.Write].
type committing struct {
	Querier
	db *sql.DB
}

// ExecContext runs a statement without rows.
func (c committing) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return pg.Write(ctx, c.db, func(ctx context.Context) (sql.Result, error) {
		return c.Querier.ExecContext(ctx, query, args...)
	})
}
