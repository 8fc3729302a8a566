package ratelimit

import (
	"context"
	"database/sql"
)

func TakeOnce(ctx context.Context, db *sql.DB, choices ...Choice) error {
	args := arguments(choices)
	if _, err := db.ExecContext(ctx, putBudgets, args[1]); err != nil {
		return err
	}
	var wait float64
	var missing string
	return db.QueryRowContext(ctx, takeBudgets, args...).Scan(&wait, &missing)
}
