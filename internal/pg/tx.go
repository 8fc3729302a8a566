package pg

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
)

// maxRuns bounds how often a statement that Postgres refused in favour of another
// transaction is run again.
const maxRuns = 10

// Tx is a READ COMMITTED transaction that no context ends. Its statements run under the
// context they are given. End it with Commit, CommitWait or Rollback; after the first of
// them the others do nothing.
type Tx struct {
	*sql.Tx
	release func(error)
	ended   atomic.Bool
}

// Begin starts a transaction, READ COMMITTED whatever the role's default is. It waits for
// a free connection until ctx ends; after that ctx has no effect on the transaction. One
// round trip.
func Begin(ctx context.Context, db *sql.DB) (*Tx, error) {
	release, err := writesOf(db).acquire(ctx, db)
	if err != nil {
		return nil, err
	}
	begin, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	tx, err := db.BeginTx(begin, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	switch {
	case err != nil:
		cancel()
		if ended := ctx.Err(); ended != nil {
			err = fmt.Errorf("%w: %w", ended, err)
		}
		release(err)
		return nil, err
	case !stop():
		// ctx ended meanwhile: the transaction may have been rolled back already.
		_ = tx.Rollback()
		release(nil)
		return nil, ctx.Err()
	}
	return &Tx{Tx: tx, release: func(err error) { cancel(); release(err) }}, nil
}

// Commit commits unless ctx has ended, which rolls back. It returns when the answer is
// there or ctx ends; then the error is [ErrUnconfirmed], and the connection stays in use
// until the answer comes.
func (t *Tx) Commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		_ = t.Rollback()
		return err
	}
	answer := make(chan error, 1)
	go func() { answer <- t.CommitWait(ctx) }()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-answer:
		return err
	default:
		return fmt.Errorf("%w: %w", ErrUnconfirmed, ctx.Err())
	}
}

// CommitWait is Commit that waits for the answer however long that takes. It is for a
// caller whose own caller does not wait for it.
func (t *Tx) CommitWait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		_ = t.Rollback()
		return err
	}
	if !t.ended.CompareAndSwap(false, true) {
		return sql.ErrTxDone
	}
	err := t.Tx.Commit()
	t.release(err)
	return err
}

// Rollback ends the transaction without effect. While a commit waits for its answer, and
// after it, Rollback does nothing.
func (t *Tx) Rollback() error {
	if !t.ended.CompareAndSwap(false, true) {
		return sql.ErrTxDone
	}
	err := t.Tx.Rollback()
	t.release(nil)
	return err
}

// InTx runs do in a transaction of its own and commits it. An error of do rolls back.
func InTx(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) error {
	tx, err := Begin(ctx, db)
	if err != nil {
		return err
	}
	if err := doOrRollBack(tx, do); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// InTxRetry is InTx, run again as long as retryable says so of its error and ctx has not
// ended, up to ten times. retryable is [Retryable] or includes it.
func InTxRetry(ctx context.Context, db *sql.DB, retryable func(error) bool, do func(*sql.Tx) error) error {
	err := InTx(ctx, db, do)
	for n := 1; n <= maxRuns && retryable(err) && ctx.Err() == nil; n++ {
		err = InTx(ctx, db, do)
	}
	return err
}

// doOrRollBack also rolls back when do panics.
func doOrRollBack(tx *Tx, do func(*sql.Tx) error) error {
	done := false
	defer func() {
		if !done {
			_ = tx.Rollback()
		}
	}()
	if err := do(tx.Tx); err != nil {
		return err
	}
	done = true
	return nil
}

// Write runs one statement that commits by itself. do is given a context that does not
// end; Write returns when do does or ctx ends. In the second case the error is
// [ErrUnconfirmed] and do goes on: it must not write to variables of the caller's.
func Write[T any](ctx context.Context, db *sql.DB, do func(context.Context) (T, error)) (T, error) {
	var none T
	release, err := writesOf(db).acquire(ctx, db)
	if err != nil {
		return none, err
	}
	if err := waitForConnection(ctx, db); err != nil {
		release(err)
		return none, err
	}
	type result struct {
		value T
		err   error
	}
	answer := make(chan result, 1)
	go func() {
		value, err := do(context.WithoutCancel(ctx))
		release(err)
		answer <- result{value, err}
	}()
	select {
	case r := <-answer:
		return r.value, r.err
	case <-ctx.Done():
		return none, fmt.Errorf("%w: %w", ErrUnconfirmed, ctx.Err())
	}
}

// waitForConnection waits until a pool that is used up has a connection again, so that do
// does not wait for one after its caller has left. Another caller may still take it.
func waitForConnection(ctx context.Context, db *sql.DB) error {
	pool := db.Stats()
	if pool.MaxOpenConnections <= 0 || pool.InUse < pool.MaxOpenConnections {
		return nil
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}

// WriteAlone runs one statement as a transaction of its own. It needs no BEGIN, and so no
// further round trip; its isolation is then the role's default. Where that is above READ
// COMMITTED, Postgres may refuse it with 40001, and it is run again in a transaction that
// names READ COMMITTED. do is given the querier to use and the context to use with it,
// and must not write to variables of the caller's.
func WriteAlone[T any](ctx context.Context, db *sql.DB, do func(context.Context, Querier) (T, error)) (T, error) {
	value, err := Write(ctx, db, func(ctx context.Context) (T, error) { return do(ctx, db) })
	for n := 1; n <= maxRuns && Retryable(err); n++ {
		err = InTx(ctx, db, func(tx *sql.Tx) (err error) {
			value, err = do(ctx, tx)
			return err
		})
	}
	return value, err
}

// ReadAlone is WriteAlone for a statement that changes nothing: its context ends it, and
// it takes none of the slots of writes.
func ReadAlone[T any](ctx context.Context, db *sql.DB, do func(context.Context, Querier) (T, error)) (T, error) {
	value, err := do(ctx, db)
	for n := 1; n <= maxRuns && Retryable(err); n++ {
		err = InTx(ctx, db, func(tx *sql.Tx) (err error) {
			value, err = do(ctx, tx)
			return err
		})
	}
	return value, err
}

// ExecAlone is WriteAlone for a statement without rows.
func ExecAlone(ctx context.Context, db *sql.DB, query string, args ...any) (sql.Result, error) {
	return WriteAlone(ctx, db, func(ctx context.Context, q Querier) (sql.Result, error) {
		return q.ExecContext(ctx, query, args...)
	})
}
