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
func execAlone(ctx context.Context, db *sql.DB, query string, args ...any) (sql.Result, error) {
	res, err := db.ExecContext(ctx, query, args...)
	for n := 1; n <= maxReruns && outrun(err); n++ {
		res, err = execReadCommitted(ctx, db, query, args...)
	}
	return res, err
}

func execReadCommitted(ctx context.Context, db *sql.DB, query string, args ...any) (sql.Result, error) {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return nil, err
	}
	// After a commit this does nothing.
	defer func() { _ = tx.Rollback() }()
	res, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return res, tx.Commit()
}

// outrun tells a serialization failure and a deadlock from other errors: nothing has happened, and a repeat may go through.
func outrun(err error) bool {
	state := sqlState(err)
	return state == "40001" || state == "40P01"
}
