package webhook

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
)

// ErrNoTransaction means that a function that joins the caller's transaction was given a
// pool, or a connection on which no transaction has begun: each of its statements would
// commit alone.
var ErrNoTransaction = errors.New("webhook: not a transaction")

// Querier is the caller's transaction or connection: *sql.Tx, *sql.Conn, *sqlx.Tx and
// [Tx] satisfy it.
type Querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

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
