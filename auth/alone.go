package auth

import (
	"context"
	"database/sql"
)

// maxReruns bounds how often a statement that Postgres refused in favour of another transaction is run again.
const maxReruns = 10

// execAlone runs one statement as a transaction of its own. It needs no BEGIN, and so no further round trip; its isolation is
// then the role's default. Where that is above READ COMMITTED Postgres may refuse it with 40001, and it is run again in a
// transaction that asks for READ COMMITTED by name.
func execAlone(ctx context.Context, db *sql.DB, query string, args ...any) (res sql.Result, err error) {
	err = runAlone(ctx, db, func(q Querier) (err error) {
		res, err = q.ExecContext(ctx, query, args...)
		return err
	})
	return res, err
}

// runAlone is execAlone for any one statement, which do runs.
func runAlone(ctx context.Context, db *sql.DB, do func(Querier) error) error {
	err := do(db)
	for n := 1; n <= maxReruns && outrun(err); n++ {
		err = runReadCommitted(ctx, db, do)
	}
	return err
}

func runReadCommitted(ctx context.Context, db *sql.DB, do func(Querier) error) error {
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

// outrun tells a serialization failure and a deadlock from other errors: nothing has happened, and a repeat may go through.
func outrun(err error) bool {
	state := sqlState(err)
	return state == "40001" || state == "40P01"
}
