// Package pg runs the transactions and statements that this module commits itself.
//
// The problem is that COMMIT may wait. With synchronous replication it waits for the
// standby, and a cancel request then ends the wait: Postgres keeps the commit on the
// primary alone and reports success. Both lib/pq and pgx send one when the context of a
// transaction or statement ends, so a commit reported at a deadline may be lost with the
// primary. So nothing that commits runs under a context that can end: a transaction
// begins without cancellation, its statements run under the caller's context, which is
// checked before COMMIT, and a statement that commits by itself runs without
// cancellation. The caller still returns when its context ends, with [ErrUnconfirmed].
//
// Another problem is that waiting commits occupy connections. So writes take at most
// three quarters of a pool, and a pool that lost a connection to such a wait begins no
// write until no commit waits.
package pg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"
)

const maxRuns = 10

// Tx is a READ COMMITTED transaction that no context ends; its statements run under
// theirs. End it with Commit, CommitWait or Rollback; further calls return sql.ErrTxDone.
type Tx struct {
	*sql.Tx
	release func(error)
	ended   atomic.Bool
}

// Begin starts a transaction, READ COMMITTED whatever the role's default. ctx bounds only
// the wait for a connection. One round trip.
func Begin(ctx context.Context, db *sql.DB) (*Tx, error) {
	release, err := writesOf(db).acquire(ctx, db)
	if err != nil {
		return nil, err
	}
	begin, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	began := false
	defer func() { // A driver may panic.
		if !began {
			cancel()
			// No commit waits, however long the wait for a connection was.
			release(nil)
		}
	}()
	tx, err := db.BeginTx(begin, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	switch {
	case err != nil:
		if ended := ctx.Err(); ended != nil {
			err = fmt.Errorf("%w: %w", ended, err)
		}
		return nil, err
	case !stop():
		_ = tx.Rollback()
		return nil, ctx.Err()
	}
	began = true
	return &Tx{Tx: tx, release: func(err error) { cancel(); release(err) }}, nil
}

// Commit commits, or rolls back if ctx has ended. If ctx ends before the response, the
// error is [ErrUnconfirmed] and the connection stays in use until the response.
func (t *Tx) Commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		_ = t.Rollback()
		return err
	}
	answer := start(func() (struct{}, error) { return struct{}{}, t.CommitWait(ctx) }, func(error) {})
	select {
	case a := <-answer:
		_, err := a.get()
		return err
	case <-ctx.Done():
	}
	select {
	case a := <-answer:
		_, err := a.get()
		return err
	default:
		return fmt.Errorf("%w: %w", ErrUnconfirmed, ctx.Err())
	}
}

// answer is what a function returned that has a goroutine of its own.
type answer[T any] struct {
	value T
	err   error
	// panicked has the stack, and is nil without a panic.
	panicked any
}

var errEnded = errors.New("the goroutine of a write has ended")

// start runs do in a goroutine, and then ended with its error. A driver that panics there
// must not end the process: the panic is that of get.
func start[T any](do func() (T, error), ended func(error)) <-chan answer[T] {
	done := make(chan answer[T], 1)
	go func() {
		a := answer[T]{err: errEnded}
		defer func() {
			if p := recover(); p != nil {
				a.panicked = fmt.Sprintf("%v\n\n%s", p, debug.Stack())
			}
			ended(a.err)
			done <- a
		}()
		a.value, a.err = do()
	}()
	return done
}

func (a answer[T]) get() (T, error) {
	if a.panicked != nil {
		panic(a.panicked)
	}
	return a.value, a.err
}

// CommitWait is Commit without a time limit, when no client waits.
func (t *Tx) CommitWait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		_ = t.Rollback()
		return err
	}
	if !t.ended.CompareAndSwap(false, true) {
		return sql.ErrTxDone
	}
	err := errEnded
	defer func() { t.release(err) }() // A driver may panic.
	err = t.Tx.Commit()
	return err
}

// Rollback has no effect during and after a commit.
func (t *Tx) Rollback() error {
	if !t.ended.CompareAndSwap(false, true) {
		return sql.ErrTxDone
	}
	defer t.release(nil)
	return t.Tx.Rollback()
}

// InTx runs do in a transaction, and commits unless do returns an error or panics.
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

// InTxRetry repeats InTx up to ten times while retryable, [Retryable] or more, is true
// for its error and ctx has not ended.
func InTxRetry(ctx context.Context, db *sql.DB, retryable func(error) bool, do func(*sql.Tx) error) error {
	err := InTx(ctx, db, do)
	for n := 1; n <= maxRuns && retryable(err) && ctx.Err() == nil; n++ {
		err = InTx(ctx, db, do)
	}
	return err
}

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

// Write runs one statement that commits by itself, under a context that does not end. If
// the caller's ends first, the error is [ErrUnconfirmed] and do goes on, so it must not
// write to the caller's variables. A panic of do is one of Write.
func Write[T any](ctx context.Context, db *sql.DB, do func(context.Context) (T, error)) (T, error) {
	var none T
	release, err := writesOf(db).acquire(ctx, db)
	if err != nil {
		return none, err
	}
	if err := waitForConnection(ctx, db); err != nil {
		release(nil)
		return none, err
	}
	answer := start(func() (T, error) { return do(context.WithoutCancel(ctx)) }, release)
	select {
	case a := <-answer:
		return a.get()
	case <-ctx.Done():
		return none, fmt.Errorf("%w: %w", ErrUnconfirmed, ctx.Err())
	}
}

// waitForConnection waits until a used-up pool has a free connection, so that do does not
// wait for one after its caller has left.
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

// Autocommit runs one statement as its own transaction, without BEGIN and its round trip,
// at the role's default isolation. If Postgres refuses that with 40001, it is repeated in
// a READ COMMITTED transaction. do must use the context and querier it gets, and must not
// write to the caller's variables.
func Autocommit[T any](ctx context.Context, db *sql.DB, do func(context.Context, Querier) (T, error)) (T, error) {
	value, err := Write(ctx, db, func(ctx context.Context) (T, error) { return do(ctx, db) })
	for n := 1; n <= maxRuns && Retryable(err); n++ {
		err = InTx(ctx, db, func(tx *sql.Tx) (err error) {
			value, err = do(ctx, tx)
			return err
		})
	}
	return value, err
}

// Read is Autocommit for reads: ctx cancels it, and it takes no slot of the writes.
func Read[T any](ctx context.Context, db *sql.DB, do func(context.Context, Querier) (T, error)) (T, error) {
	value, err := do(ctx, db)
	for n := 1; n <= maxRuns && Retryable(err); n++ {
		err = InTx(ctx, db, func(tx *sql.Tx) (err error) {
			value, err = do(ctx, tx)
			return err
		})
	}
	return value, err
}

// Exec is Autocommit for a statement without rows.
func Exec(ctx context.Context, db *sql.DB, query string, args ...any) (sql.Result, error) {
	return Autocommit(ctx, db, func(ctx context.Context, q Querier) (sql.Result, error) {
		return q.ExecContext(ctx, query, args...)
	})
}

// ErrTransactionEnded means that code which was given a transaction has ended it.
var ErrTransactionEnded = errors.New("the transaction was ended by the code that it was given to")

// Watch finds out whether code that was given a transaction has ended it, by a round trip
// only if the code has had the *sql.Tx or sent a statement that may end it. Set XID
// before the code runs.
type Watch struct {
	// XID is the transaction's pg_current_xact_id().
	XID     string
	suspect atomic.Bool
}

// Handed notes that the code has the *sql.Tx.
func (w *Watch) Handed() { w.suspect.Store(true) }

// Sent notes a statement of the code.
func (w *Watch) Sent(query string) {
	if mayEnd(query) {
		w.suspect.Store(true)
	}
}

// Suspect reports whether the code may have ended the transaction.
func (w *Watch) Suspect() bool { return w.suspect.Load() }

// ROLLBACK AND CHAIN, or COMMIT and then BEGIN, leaves another transaction.
const sameTransactionSQL = `SELECT coalesce(pg_current_xact_id_if_assigned()::text = $1::text, false)`

// Check returns ErrTransactionEnded if the transaction was ended. q is the *sql.Tx or
// works in it.
func (w *Watch) Check(ctx context.Context, q Querier) error {
	if !w.Suspect() {
		return nil
	}
	var same bool
	err := q.QueryRowContext(ctx, sameTransactionSQL, w.XID).Scan(&same)
	if errors.Is(err, sql.ErrTxDone) || err == nil && !same {
		return ErrTransactionEnded
	}
	return err
}

// mayEnd errs towards true: a semicolon in a literal begins a statement here, and
// ROLLBACK TO counts.
func mayEnd(query string) bool {
	for {
		query = strings.TrimLeft(query, " \t\r\n\f\v")
		if comment, found := strings.CutPrefix(query, "--"); found {
			_, query, _ = strings.Cut(comment, "\n")
			continue
		}
		if strings.HasPrefix(query, "/*") {
			return true
		}
		for _, word := range []string{"commit", "rollback", "abort", "end", "prepare"} {
			if len(query) >= len(word) && strings.EqualFold(query[:len(word)], word) {
				return true
			}
		}
		_, rest, found := strings.Cut(query, ";")
		if !found {
			return false
		}
		query = rest
	}
}

// Querier runs statements, as *sql.DB, *sql.Tx, *sql.Conn, *sqlx.Tx and [Tx] do.
type Querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// SQLState returns the SQLSTATE of any driver's error, or "".
func SQLState(err error) string {
	var coded interface{ SQLState() string }
	if errors.As(err, &coded) {
		return coded.SQLState()
	}
	return ""
}

// Retryable reports whether Postgres rolled a transaction back in favour of another: a
// serialization failure (40001) or a deadlock (40P01).
func Retryable(err error) bool {
	state := SQLState(err)
	return state == "40001" || state == "40P01"
}

// ErrNoTransaction means that a function which joins the caller's transaction was given
// none: nil, a pool, whose statements commit alone, or a connection that has begun none.
var ErrNoTransaction = errors.New("not a transaction: pass a *sql.Tx, or a *sql.Conn on which one has begun")

// IsPool is true for nil, *sql.DB, *sqlx.DB, what embeds them, and other types that begin
// transactions. A *sql.Conn may have one.
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

// RequireTransaction returns ErrNoTransaction if q has none. A *sql.Conn may have begun
// one by a statement: now() is then the same in two statements, which are two round
// trips; otherwise none.
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
