package auth

import (
	"context"
	"database/sql"

	"github.com/booking-platform/booking-platform/internal/pg"
)

func accountRow(row *sql.Row) (Account, error) { return scanAccount(row.Scan) }

// queryRow runs one statement that returns at most one row, as a transaction of its own,
// and scans the row with scan. See [pg.WriteAlone].
func queryRow[T any](ctx context.Context, db *sql.DB, scan func(*sql.Row) (T, error), query string,
	args ...any) (T, error) {
	return pg.WriteAlone(ctx, db, func(ctx context.Context, q pg.Querier) (T, error) {
		return scan(q.QueryRowContext(ctx, query, args...))
	})
}
