package pg

import (
	"context"
	"database/sql"
	"errors"
)

// Querier runs statements: *sql.DB, *sql.Tx, *sql.Conn, *sqlx.Tx and [Tx] satisfy it.
type Querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// SQLState returns the SQLSTATE of a database error of any driver, or "".
func SQLState(err error) string {
	var coded interface{ SQLState() string }
	if errors.As(err, &coded) {
		return coded.SQLState()
	}
	return ""
}

// Retryable reports whether Postgres rolled a transaction back in favour of another: a
// serialization failure (40001) or a deadlock (40P01).
func Retryable(err error) bool {
	state := SQLState(err)
	return state == "40001" || state == "40P01"
}
