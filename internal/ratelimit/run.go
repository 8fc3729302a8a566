package ratelimit

import (
	"context"
	"database/sql"
	"errors"
)

type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

const maxReruns = 10

// run runs one statement as a transaction of its own. Where the default isolation is above READ COMMITTED and Postgres
// refuses it with 40001, it is run again in a READ COMMITTED transaction.
func run(ctx context.Context, db *sql.DB, do func(querier) error) error {
	err := do(db)
	for n := 1; n <= maxReruns && retryable(err); n++ {
		err = transact(ctx, db, do)
	}
	return err
}

func transact(ctx context.Context, db *sql.DB, do func(querier) error) error {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	// After a commit this does nothing.
	defer func() { _ = tx.Rollback() }()
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func retryable(err error) bool {
	var state interface{ SQLState() string }
	return errors.As(err, &state) && (state.SQLState() == "40001" || state.SQLState() == "40P01")
}
