package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// errNotPrepared says that DATABASE_PREPARE cannot be kept.
var errNotPrepared = errors.New("DATABASE_PREPARE is true, and what stands between here and Postgres hands connections on without the statements that were " +
	"prepared on them: unset it, or use a pooler that knows prepared statements (PgBouncer from 1.21 on, with max_prepared_statements above 0)")

// preparedTries is how often it is tried: on a pooler that others use, too, the
// connection may by chance come back.
const preparedTries = 3

// keepsPrepared tells whether a statement that was prepared is still there when its
// connection has been somebody else's. Behind a pooler in transaction mode it is not, and
// an older or a foreign statement of the same name may be there instead, which would then
// be run.
func keepsPrepared(ctx context.Context, db *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for range preparedTries {
		if err := keepsOne(ctx, db); err != nil {
			return fmt.Errorf("%w (%w)", errNotPrepared, err)
		}
	}
	return nil
}

// keepsOne prepares a statement on one connection, has a transaction on another one take
// what a pooler would have given back, and then runs the statement.
func keepsOne(ctx context.Context, db *sql.DB) error {
	one, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = one.Close() }()
	other, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = other.Close() }()
	mark := rand.Text()
	statement, err := one.PrepareContext(ctx, `SELECT '`+mark+`'::text`)
	if err != nil {
		return err
	}
	defer func() { _ = statement.Close() }()
	tx, err := other.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, `SELECT 1`); err != nil {
		return err
	}
	var found string
	if err := statement.QueryRowContext(ctx).Scan(&found); err != nil {
		return err
	}
	if found != mark {
		return errors.New("another statement was run")
	}
	return nil
}
