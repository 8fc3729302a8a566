package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/pg"
)

// maxReruns bounds how often a statement that Postgres refused in favour of another
// transaction is run again.
const maxReruns = 10

// alone runs one statement in a transaction of its own, and again where Postgres refused
// it in favour of another transaction. Three round trips.
func (p *Payments) alone(ctx context.Context, what string, statement func(booking.Querier) error) error {
	return wrap(ctx, what, p.transactAgain(ctx, func(tx *sql.Tx) error { return statement(tx) }))
}

// read runs one statement that changes nothing, see [pg.ReadAlone]. One round trip.
func (p *Payments) read(ctx context.Context, what string, statement func(booking.Querier) error) error {
	_, err := pg.ReadAlone(ctx, p.db, func(_ context.Context, q pg.Querier) (struct{}, error) {
		return struct{}{}, statement(q)
	})
	return wrap(ctx, what, err)
}

// queryPayment runs one statement that returns a payment; without one the error is
// sql.ErrNoRows. It commits by itself: one round trip, see [pg.WriteAlone].
func (p *Payments) queryPayment(ctx context.Context, what, query string, args ...any) (Payment, error) {
	pay, err := pg.WriteAlone(ctx, p.db, func(ctx context.Context, q pg.Querier) (Payment, error) {
		return scanPayment(q.QueryRowContext(ctx, query, args...))
	})
	return pay, wrap(ctx, what, err)
}

// inTx runs f in a transaction of our own.
func (p *Payments) inTx(ctx context.Context, what string, f func(*sql.Tx) error) error {
	return wrap(ctx, what, p.transact(ctx, f))
}

// transactAgain runs f in a transaction of our own, and again in a new one as long as
// Postgres refused it in favour of another transaction.
func (p *Payments) transactAgain(ctx context.Context, f func(*sql.Tx) error) error {
	err := p.transact(ctx, f)
	for n := 1; n <= maxReruns && booking.IsRetryable(err) && ctx.Err() == nil; n++ {
		err = p.transact(ctx, f)
	}
	return err
}

// transact is [pg.InTx]: no context ends the transaction while it commits.
func (p *Payments) transact(ctx context.Context, f func(*sql.Tx) error) error {
	return pg.InTx(ctx, p.db, f)
}

// wrap gives an error of the database's its one prefix. A driver may report a cancelled
// statement with an error of its own (lib/pq: SQLSTATE 57014), so the context's error is
// added where the driver left it out.
func wrap(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
		return fmt.Errorf("payments: %s: %w: %w", what, ended, err)
	}
	return fmt.Errorf("payments: %s: %w", what, err)
}
