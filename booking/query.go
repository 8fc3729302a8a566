package booking

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jmoiron/sqlx"
	"github.com/jmoiron/sqlx/reflectx"

	"github.com/booking-platform/booking-platform/internal/pg"
)

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
