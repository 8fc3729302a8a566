package booking

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// Tx is the store inside a transaction of the caller's: an order, its booking and the
// event that caused them commit together or not at all.
//
// A Tx never commits, rolls back, retries, changes settings or uses savepoints. A refusal
// ([ErrSlotTaken], [*ValidationError], [*StatusError], …) leaves the transaction usable;
// a database error ends it. If [IsRetryable] is true of an error, roll back and run the
// whole transaction again.
//
//   - Use READ COMMITTED. Above it Postgres refuses with 40001 what READ COMMITTED
//     resolves, a hold that conflicts with a recent one cannot be decided, and a resource
//     that was changed by SQL is sold by the rules it had when the transaction began.
//   - A hold waits for open transactions that have taken the same units, and they for it,
//     up to lock_timeout (55P03) if set. Keep such transactions short, without network
//     calls.
//   - Take several slots in one order, by resource and start for example. Otherwise
//     transactions can deadlock, and Postgres ends one with 40P01.
//   - Expired holds or other bookings' units in the way are cleared on a second connection,
//     permanently, within a second. If the pool has no other connection, or the bookings
//     belong to this transaction, the error is retryable; [Store.ReleaseExpired] between
//     two attempts helps as well.
//   - A context that ends during a statement ends the transaction.
//   - Begin the transaction under a context that cannot be cancelled, pass the request's
//     context to the statements, and check ctx.Err() before Commit. Drivers send a cancel
//     request when the context given to BeginTx ends; if the commit waits for a
//     synchronous standby, Postgres then reports success for what only the primary has.
//
// [Store.InTx] begins, commits and repeats such a transaction. The clock is read when
// each statement begins.
type Tx struct {
	store *Store
	q     Querier
}

// Tx returns the operations inside the transaction that is open on q: a *sql.Tx, a
// *sqlx.Tx, or a *sql.Conn on which one has begun, on the store's database. It is not for
// concurrent use. If q is a pool, every operation returns [ErrNoTransaction].
func (s *Store) Tx(q Querier) *Tx { return &Tx{store: s, q: transaction(q)} }

// InTx runs do in a transaction on the store's pool and commits it: an order and its
// booking in one commit, for example. do writes its own rows with tx, and books with
// bookings.
//
// It follows the rules of [Tx]: READ COMMITTED, begun under a context that cannot be
// cancelled, not committed if ctx has ended, and repeated up to ten times while
// [IsRetryable] is true of its error. So do may run several times: it has no effects but
// those of tx, calls nothing over the network, and does not end tx (the error is then
// sql.ErrTxDone). An error of do rolls back and is returned as it is; a panic rolls back.
// If ctx ends while the commit waits, the error is that of ctx and the commit may still
// happen: repeat the request with its idempotency key.
//
// BEGIN and COMMIT take two round trips. Safe on several replicas at once.
func (s *Store) InTx(ctx context.Context, do func(tx *sql.Tx, bookings *Tx) error) error {
	var refused error
	err := pg.InTxRetry(ctx, s.db, IsRetryable, func(tx *sql.Tx) error {
		refused = do(tx, s.Tx(tx))
		return refused
	})
	if err == nil || refused != nil {
		return err
	}
	return wrap(ctx, "transaction", err)
}

func (t *Tx) run(_ context.Context, step func(Querier) error) error { return step(t.q) }

// Hold is [Store.Hold] in the caller's transaction. Others find the units taken until it
// rolls back.
func (t *Tx) Hold(ctx context.Context, req HoldRequest) (Booking, error) {
	h := &holder{store: t.store, run: t.run, caller: t.q}
	b, err := h.hold(ctx, req)
	return b, wrap(ctx, "hold", err)
}

// Confirm is [Store.Confirm] in the caller's transaction. One round trip.
func (t *Tx) Confirm(ctx context.Context, id string) (Booking, error) {
	return confirm.do(ctx, t.store, t.run, id, Actor(ctx), "")
}

// ConfirmLate is [Store.ConfirmLate] in the caller's transaction. One round trip.
func (t *Tx) ConfirmLate(ctx context.Context, id string) (Booking, error) {
	return confirmLate.do(ctx, t.store, t.run, id, Actor(ctx), "")
}

// Release is [Store.Release] in the caller's transaction.
func (t *Tx) Release(ctx context.Context, id string) (Booking, error) {
	return release.do(ctx, t.store, t.run, id, Actor(ctx), "")
}

// Extend is [Store.Extend] in the caller's transaction.
func (t *Tx) Extend(ctx context.Context, id string, until time.Time) (Booking, error) {
	return extendTo(ctx, t.store, t.run, id, until)
}

// Get is [Store.Get] in the caller's transaction.
func (t *Tx) Get(ctx context.Context, id string) (Booking, error) { return get(ctx, t.run, id) }

// List is [Store.List] in the caller's transaction.
func (t *Tx) List(ctx context.Context, opts ListOptions) (Page, error) { return list(ctx, t.run, opts) }

// Count is [Store.Count] in the caller's transaction.
func (t *Tx) Count(ctx context.Context, opts ListOptions) (Count, error) {
	return countBookings(ctx, t.run, opts)
}

// maxSideTx bounds the wait for a second connection, and for locks that the caller may
// have.
const maxSideTx = time.Second

// maxReassigns is for one hold in a caller's transaction, whose own bookings the second
// transaction cannot move.
const maxReassigns = 5

const isolationSQL = `SELECT current_setting('transaction_isolation') AS isolation`

func (h *holder) releaseExpiredIn(ctx context.Context, resourceID string, from, to time.Time) error {
	return h.outsideTx(ctx, "release expired holds", func(ctx context.Context) error {
		return h.store.releaseExpiredIn(ctx, resourceID, from, to)
	})
}

func (h *holder) reassign(ctx context.Context, r *rules, start time.Time, party int) error {
	if h.caller != nil {
		if h.reassigns++; h.reassigns > maxReassigns {
			return fmt.Errorf("reassign units: this transaction's own bookings are in the way: %w", errRetry)
		}
	}
	from, to := r.blocked(start)
	return h.outsideTx(ctx, "reassign units", func(ctx context.Context) error {
		return h.store.reassign(ctx, r, from, to, party)
	})
}

// outsideTx runs do in a transaction of the store's own. In a caller's transaction, do
// has a time limit, and its result cannot be seen above READ COMMITTED.
func (h *holder) outsideTx(ctx context.Context, what string, do func(context.Context) error) error {
	if h.caller == nil {
		return do(ctx)
	}
	bounded, cancel := context.WithTimeout(ctx, h.store.sideTxTimeout)
	defer cancel()
	err := do(bounded)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%s: not done within %s: %w", what, h.store.sideTxTimeout, errRetry)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	type row struct {
		Isolation string `db:"isolation"`
	}
	tx, _, err := selectOne[row](ctx, h.caller, isolationSQL)
	if err != nil {
		return err
	}
	if tx.Isolation != "read committed" && tx.Isolation != "read uncommitted" {
		return fmt.Errorf("%s: done, but invisible at this isolation level: %w", what, errRetry)
	}
	return nil
}

// Querier runs statements, as *sql.Tx, *sqlx.Tx and *sql.Conn do:
//
//	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
//	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
//	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
type Querier = pg.Querier

// ErrNoTransaction means that [Store.Tx] was given nil or a pool, on which statements
// commit alone.
var ErrNoTransaction = pg.ErrNoTransaction

// transaction refuses a pool. A single connection may have a transaction open.
func transaction(q Querier) Querier {
	if pg.IsPool(q) {
		return refusing{}
	}
	return q
}

// QueryRowContext, whose result cannot carry this error, is not used here.
type refusing struct{ Querier }

func (refusing) ExecContext(context.Context, string, ...any) (sql.Result, error) {
	return nil, ErrNoTransaction
}

func (refusing) QueryContext(context.Context, string, ...any) (*sql.Rows, error) {
	return nil, ErrNoTransaction
}
