package pg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// ErrNoTransaction means that a function which joins the caller's transaction was given
// nil, a pool of connections, on which each statement would commit alone, or a connection
// without a transaction.
var ErrNoTransaction = errors.New("not a transaction: pass a *sql.Tx, or a *sql.Conn on which one has begun")

// IsPool reports whether q cannot have a transaction: nil, *sql.DB, *sqlx.DB, what embeds
// them, and other types that begin transactions. A *sql.Conn may have one.
func IsPool(q Querier) bool {
	switch q.(type) {
	case nil, interface{ Stats() sql.DBStats }, interface{ Begin() (*sql.Tx, error) }:
		return true
	case interface{ Raw(f func(any) error) error }:
		return false
	case interface {
		BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error)
	}:
		return true
	}
	return false
}

// RequireTransaction returns ErrNoTransaction if q has no transaction. A *sql.Conn may
// have one that was begun with a BEGIN statement: then now() is the same in two
// statements. It takes two round trips with a *sql.Conn, and none otherwise.
func RequireTransaction(ctx context.Context, q Querier) error {
	if IsPool(q) {
		return ErrNoTransaction
	}
	if _, connection := q.(interface{ Raw(f func(any) error) error }); !connection {
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
