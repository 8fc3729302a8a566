package payments

import (
	"context"
	"database/sql"
	"fmt"
)

// inTx runs f in a transaction of our own.
func (p *Payments) inTx(ctx context.Context, what string, f func(*sql.Tx) error) error {
	tx, err := p.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return fmt.Errorf("payments: %s: %w", what, err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := f(tx); err != nil {
		return fmt.Errorf("payments: %s: %w", what, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("payments: %s: %w", what, err)
	}
	return nil
}
