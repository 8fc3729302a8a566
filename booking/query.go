package booking

import (
	"context"
	"database/sql"

	"github.com/jmoiron/sqlx"
	"github.com/jmoiron/sqlx/reflectx"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// Querier is what a caller's transaction is used through: *sql.Tx, *sqlx.Tx and *sql.Conn satisfy it.
type Querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// mapper reads the db tags of our own row types. sqlx's default is a global variable that belongs to the program, and
// the caller's *sqlx.Tx has the caller's.
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
	// An error of the commit, where the statement is a transaction of its own, may come as late as here.
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
