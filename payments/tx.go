package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// inTx runs f in a transaction of our own.
func (p *Payments) inTx(ctx context.Context, what string, f func(*sql.Tx) error) error {
	tx, err := p.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return wrap(ctx, what, err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := f(tx); err != nil {
		return wrap(ctx, what, err)
	}
	if err := tx.Commit(); err != nil {
		return wrap(ctx, what, err)
	}
	return nil
}

// wrap gives an error of the database's its one prefix. A driver may report a cancelled statement with an error of its own (lib/pq: SQLSTATE
// 57014), so the context's error is added where the driver left it out.
func wrap(ctx context.Context, what string, err error) error {
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
		return fmt.Errorf("payments: %s: %w: %w", what, ended, err)
	}
	return fmt.Errorf("payments: %s: %w", what, err)
}
