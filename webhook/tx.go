package webhook

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// ErrNoTransaction means that a function that joins the caller's transaction was given a
// pool, or a connection on which no transaction has begun: each of its statements would
// commit alone.
var ErrNoTransaction = errors.New("webhook: not a transaction")

// Querier runs statements: *sql.DB, *sql.Tx, *sql.Conn, *sqlx.Tx and [Tx] satisfy it, with
// ExecContext, QueryContext and QueryRowContext of package database/sql.
type Querier = pg.Querier

// requireTransaction refuses a pool, and a connection without a transaction. A
// transaction, *sql.Tx for one, cannot begin another. A *sql.Conn can, and may be in one
// that its owner has begun (BEGIN as a statement, or native pgx): then now() is the same
// in two statements.
func requireTransaction(ctx context.Context, q Querier) error {
	if _, pool := q.(interface{ Stats() sql.DBStats }); pool {
		return ErrNoTransaction
	}
	if _, begins := q.(interface {
		BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error)
	}); !begins {
		return nil
	}
	var first, second time.Time
	for _, at := range []*time.Time{&first, &second} {
		if err := q.QueryRowContext(ctx, `SELECT now()`).Scan(at); err != nil {
			return fmt.Errorf("look for a transaction: %w", err)
		}
	}
	if !first.Equal(second) {
		return ErrNoTransaction
	}
	return nil
}

// Tx is the transaction a handler works in. It can do everything but end; the receiver
// commits it together with the event's ledger row, or rolls both back. sqlx's functions
// (sqlx.GetContext, sqlx.NamedExecContext) and generated code such as sqlc's take it, and
// so does the store of another package that joins transactions. It is READ COMMITTED, and
// dead once the handler has returned. A handler closes the rows it has opened.
//
// It has no method that ends it, and COMMIT as a statement must not be sent either.
// Structs are scanned by the tag db and sqlx.NameMapper: the Mapper of the caller's own
// *sqlx.DB is not known here.
type Tx interface {
	sqlx.ExtContext
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// handlerTx hands on what a handler may do. It does not embed the transaction: Commit and
// Rollback would come along and be found by a type assertion.
type handlerTx struct {
	tx txQuerier
}

func (h handlerTx) DriverName() string { return "postgres" }

func (h handlerTx) Rebind(query string) string { return sqlx.Rebind(sqlx.DOLLAR, query) }

func (h handlerTx) BindNamed(query string, arg any) (string, []any, error) {
	return sqlx.BindNamed(sqlx.DOLLAR, query, arg)
}

func (h handlerTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return h.tx.ExecContext(ctx, query, args...)
}

func (h handlerTx) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return h.tx.PrepareContext(ctx, query)
}

func (h handlerTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return h.tx.QueryContext(ctx, query, args...)
}

func (h handlerTx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return h.tx.QueryRowContext(ctx, query, args...)
}

func (h handlerTx) QueryxContext(ctx context.Context, query string, args ...any) (*sqlx.Rows, error) {
	return h.tx.QueryxContext(ctx, query, args...)
}

func (h handlerTx) QueryRowxContext(ctx context.Context, query string, args ...any) *sqlx.Row {
	return h.tx.QueryRowxContext(ctx, query, args...)
}

// maxPrepared bounds how many statements are kept: a handler that writes values into its
// statements makes new ones for ever.
const maxPrepared = 100

// preparing keeps the statements of the receiver's transactions, its own and its
// handlers', prepared on each connection; database/sql sees to that. A statement is noted
// when a transaction first sends it, and made between two transactions: making it takes a
// connection, and who has one already, with locks, would wait for a pool that has no
// other. They are closed with their connection or their database.
type preparing struct {
	db *sql.DB

	mu         sync.Mutex
	statements map[string]*sql.Stmt
	noted      []string
}

// statement returns a statement that is prepared, or nil after noting it. A nil
// preparing, the default, has none.
func (p *preparing) statement(query string) *sql.Stmt {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s, known := p.statements[query]
	if !known && len(p.statements) < maxPrepared {
		// Nobody notes it again: while it is being made it runs as it is.
		p.statements[query] = nil
		p.noted = append(p.noted, query)
	}
	return s
}

// prepare makes what was noted. Call it without a transaction. One that cannot be
// prepared, several statements in one text say, runs as it is.
func (p *preparing) prepare(ctx context.Context) {
	if p == nil {
		return
	}
	p.mu.Lock()
	noted := p.noted
	p.noted = nil
	p.mu.Unlock()
	for n, query := range noted {
		s, err := p.db.PrepareContext(ctx, query)
		p.mu.Lock()
		switch {
		case err == nil:
			p.statements[query] = s
		case !strings.HasPrefix(pg.SQLState(err), "42"):
			// That was not the statement's fault. The next caller tries again, this one
			// and those after it.
			p.noted = append(p.noted, noted[n:]...)
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
	}
}

// txQuerier runs a transaction's statements, prepared where they are so.
type txQuerier struct {
	*sqlx.Tx
	own      *pg.Tx
	prepared *preparing
}

// CommitWait is [pg.Tx.CommitWait].
func (q txQuerier) CommitWait(ctx context.Context) error { return q.own.CommitWait(ctx) }

// Rollback is [pg.Tx.Rollback].
func (q txQuerier) Rollback() error { return q.own.Rollback() }

func (q txQuerier) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if s := q.prepared.statement(query); s != nil {
		return q.StmtContext(ctx, s).ExecContext(ctx, args...)
	}
	return q.Tx.ExecContext(ctx, query, args...)
}

func (q txQuerier) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if s := q.prepared.statement(query); s != nil {
		return q.StmtContext(ctx, s).QueryContext(ctx, args...)
	}
	return q.Tx.QueryContext(ctx, query, args...)
}

func (q txQuerier) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if s := q.prepared.statement(query); s != nil {
		return q.StmtContext(ctx, s).QueryRowContext(ctx, args...)
	}
	return q.Tx.QueryRowContext(ctx, query, args...)
}

func (q txQuerier) QueryxContext(ctx context.Context, query string, args ...any) (*sqlx.Rows, error) {
	if s := q.prepared.statement(query); s != nil {
		return q.StmtxContext(ctx, s).QueryxContext(ctx, args...)
	}
	return q.Tx.QueryxContext(ctx, query, args...)
}

func (q txQuerier) QueryRowxContext(ctx context.Context, query string, args ...any) *sqlx.Row {
	if s := q.prepared.statement(query); s != nil {
		return q.StmtxContext(ctx, s).QueryRowxContext(ctx, args...)
	}
	return q.Tx.QueryRowxContext(ctx, query, args...)
}
