package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/booking-platform/booking-platform/booking"
)

// maxReruns bounds how often a statement that Postgres refused in favour of another transaction is run again.
const maxReruns = 10

// alone runs one statement as a transaction of its own. It needs no BEGIN, and so no further round trip; its isolation is then the role's
// default. Where that is above READ COMMITTED Postgres may refuse it with 40001, and it is run again in a transaction that asks for READ
// COMMITTED by name.
func (p *Payments) alone(ctx context.Context, what string, statement func(booking.Querier) error) error {
	err := statement(p.db)
	for n := 1; n <= maxReruns && booking.IsRetryable(err); n++ {
		err = p.transact(ctx, func(tx *sql.Tx) error { return statement(tx) })
	}
	return wrap(ctx, what, err)
}

// queryPayment runs one statement that returns a payment; without one the error is sql.ErrNoRows.
func (p *Payments) queryPayment(ctx context.Context, what, query string, args ...any) (Payment, error) {
	var pay Payment
	err := p.alone(ctx, what, func(q booking.Querier) (err error) {
		pay, err = scanPayment(q.QueryRowContext(ctx, query, args...))
		return err
	})
	return pay, err
}

// inTx runs f in a transaction of our own.
func (p *Payments) inTx(ctx context.Context, what string, f func(*sql.Tx) error) error {
	return wrap(ctx, what, p.transact(ctx, f))
}

// transactAgain runs f in a transaction of our own, and again in a new one as long as nothing was wrong with what was asked.
func (p *Payments) transactAgain(ctx context.Context, f func(*sql.Tx) error) error {
	err := p.transact(ctx, f)
	for n := 1; n <= maxReruns && booking.IsRetryable(err) && ctx.Err() == nil; n++ {
		err = p.transact(ctx, f)
	}
	return err
}

func (p *Payments) transact(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := p.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	// After a commit this does nothing.
	defer func() { _ = tx.Rollback() }()
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// wrap gives an error of the database's its one prefix. A driver may report a cancelled statement with an error of its own (lib/pq: SQLSTATE
// 57014), so the context's error is added where the driver left it out.
func wrap(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
		return fmt.Errorf("payments: %s: %w: %w", what, ended, err)
	}
	return fmt.Errorf("payments: %s: %w", what, err)
}
