package booking

import (
	"context"
	"time"
)

// Tx is the store inside a transaction of the caller's: what it does is there when the
// caller commits, and was never done when the caller rolls back. So an order, its booking
// and the event that caused them commit together or not at all, where two transactions
// leave a booking without an order when the program dies in between.
//
// A Tx never commits, rolls back, retries, sets anything or uses savepoints. A refusal
// ([ErrSlotTaken], [*ValidationError], [*StatusError], …) leaves the transaction as
// usable as before; an error of the database's ends it, as always in Postgres. When
// [IsRetryable] is true of an error, nothing was wrong with the request: roll back, and
// run the whole transaction again from its beginning. What to expect:
//
//   - READ COMMITTED is the level to use. Above it Postgres refuses with 40001 what READ
//     COMMITTED sorts out, a hold in whose way others have just been cannot be decided on
//     (run it again), and a resource that was changed by SQL is sold by the rules and the
//     price it had when the transaction began.
//   - A hold waits for other transactions that have taken the same units and not ended,
//     and they wait for this one: up to lock_timeout (55P03), where one is set. Keep such
//     transactions short; no network calls.
//   - Transactions that take several slots in different orders can deadlock; Postgres
//     ends one of them with 40P01. Take slots in one order, say by resource and start,
//     and it is rare.
//   - Where an expired hold is in the way, or neighbours have to be re-seated, the store
//     does that on a connection of its own, besides the caller's, and it stays done even
//     if the caller rolls back. That waits a second at most; when it cannot be done in
//     that time, because the pool has only the caller's connection, say, or because the
//     bookings in the way are this transaction's own, the error is retryable:
//     [Store.ReleaseExpired] between the two runs makes room as well.
//   - A context that ends in the middle of a statement ends the transaction.
//   - Begin it under a context that cannot be cancelled, pass the request's context to
//     the statements, and ask ctx.Err() before Commit. lib/pq and pgx send a cancel
//     request when the context given to BeginTx ends, during COMMIT too; where the commit
//     waits for a synchronous standby, Postgres then reports success for what only the
//     primary has.
//
// Times are judged when each statement begins, not when the transaction did.
type Tx struct {
	store *Store
	q     Querier
}

// Tx returns the operations that join the transaction q has open: a *sql.Tx, a *sqlx.Tx,
// or a *sql.Conn on which the caller has begun one in whatever way. It must be on the
// store's database. Like q, it is not for concurrent use. Where q is a pool of
// connections and so no transaction, every operation is refused with [ErrNoTransaction]
// and does nothing.
func (s *Store) Tx(q Querier) *Tx { return &Tx{store: s, q: transaction(q)} }

// run does a step once, on the caller's connection.
func (t *Tx) run(_ context.Context, step func(Querier) error) error { return step(t.q) }

// Hold is [Store.Hold] in the caller's transaction: the units are taken for everyone else
// from now on, and given back if the caller rolls back. One round trip without
// contention, once the rules are in memory.
func (t *Tx) Hold(ctx context.Context, req HoldRequest) (Booking, error) {
	h := &holder{store: t.store, run: t.run, caller: t.q}
	b, err := h.hold(ctx, req)
	return b, wrap(ctx, "hold", err)
}

// Confirm is [Store.Confirm] in the caller's transaction. One round trip when it
// confirms.
func (t *Tx) Confirm(ctx context.Context, id string) (Booking, error) {
	return confirm.do(ctx, t.run, id, actorOf(ctx), "")
}

// ConfirmLate is [Store.ConfirmLate] in the caller's transaction. One round trip when it
// confirms.
func (t *Tx) ConfirmLate(ctx context.Context, id string) (Booking, error) {
	return confirmLate.do(ctx, t.run, id, actorOf(ctx), "")
}

// Release is [Store.Release] in the caller's transaction.
func (t *Tx) Release(ctx context.Context, id string) (Booking, error) {
	return release.do(ctx, t.run, id, actorOf(ctx), "")
}

// Extend is [Store.Extend] in the caller's transaction.
func (t *Tx) Extend(ctx context.Context, id string, until time.Time) (Booking, error) {
	return extendTo(ctx, t.run, id, until)
}

// Get is [Store.Get] in the caller's transaction, which sees its own changes.
func (t *Tx) Get(ctx context.Context, id string) (Booking, error) { return get(ctx, t.run, id) }

// List is [Store.List] in the caller's transaction, which sees its own changes.
func (t *Tx) List(ctx context.Context, opts ListOptions) (Page, error) { return list(ctx, t.run, opts) }

// Count is [Store.Count] in the caller's transaction, which sees its own changes.
func (t *Tx) Count(ctx context.Context, opts ListOptions) (Count, error) {
	return countBookings(ctx, t.run, opts)
}
