package webhook

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// maxTries is how often a transaction is run that lost a fight with others.
const maxTries = 3

// transact runs the event's transaction, and runs it again after a serialization failure
// or a deadlock, which have rolled it back.
func (r *Receiver) transact(ctx context.Context, ev Event, n *notes) (v verdict, err error) {
	handle, why := r.handler(ev)
	for range maxTries {
		n.reset()
		if v, err = r.attempt(ctx, ev, handle, why); !retryable(err) {
			break
		}
	}
	if err != nil {
		return verdict{outcome: Failed}, err
	}
	return v, nil
}

// attempt is the transaction that matters: claim, handle, commit. It waits for the answer
// to COMMIT however long that takes: [Receiver.process] answers the delivery in time.
// Without a handler, for the reason why, the event is recorded and left to other
// replicas.
func (r *Receiver) attempt(ctx context.Context, ev Event, handle Handler, why Reason) (v verdict, err error) {
	tx, err := r.begin(ctx)
	if err != nil {
		return verdict{}, err
	}
	// After a commit this does nothing.
	defer func() { _ = tx.Rollback() }()

	if handle == nil {
		v, err = r.passOver(ctx, tx, ev, why)
	} else {
		v, err = r.handle(ctx, tx, ev, handle)
	}
	if err != nil || v.outcome == Duplicate {
		return v, err
	}
	if err := tx.CommitWait(ctx); err != nil {
		return verdict{}, fmt.Errorf("webhook: commit: %w", err)
	}
	return v, nil
}

// handle claims the event, has the handler do the work, and corrects the claim.
func (r *Receiver) handle(ctx context.Context, tx txQuerier, ev Event, handle Handler) (verdict, error) {
	claimed, overdue, err := r.ledger.claim(ctx, tx, ev, verdict{outcome: Processed})
	if err != nil {
		return verdict{}, err
	}
	if !claimed {
		return verdict{outcome: Duplicate}, nil
	}
	v, err := call(ctx, handle, handlerTx{tx}, ev)
	if err != nil {
		return verdict{}, err
	}
	if v.outcome == Unmatched && overdue {
		v = verdict{Ignored, ReasonNotOurs}
	}
	if v.outcome == Processed {
		return v, nil
	}
	return v, r.ledger.settle(ctx, tx, ev, v)
}

// passOver records an event that this replica has no handler for.
func (r *Receiver) passOver(ctx context.Context, tx txQuerier, ev Event, why Reason) (verdict, error) {
	outcome, err := r.ledger.passOver(ctx, tx, ev, why)
	if err != nil || outcome != Ignored {
		why = ""
	}
	return verdict{outcome, why}, err
}

// begin opens a transaction of the receiver's own, after preparing what the ones before
// it have sent.
func (r *Receiver) begin(ctx context.Context) (txQuerier, error) {
	r.prepared.prepare(ctx)
	tx, err := pg.Begin(ctx, r.db.DB)
	if err != nil {
		return txQuerier{}, fmt.Errorf("webhook: begin: %w", err)
	}
	return txQuerier{&sqlx.Tx{Tx: tx.Tx, Mapper: r.db.Mapper}, tx, r.prepared}, nil
}

// call runs a handler and takes only the outcomes it may return. Its panics are caught in
// [Receiver.process].
func call(ctx context.Context, handle Handler, tx Tx, ev Event) (verdict, error) {
	outcome, err := handle(ctx, tx, ev)
	if err != nil {
		return verdict{}, fmt.Errorf("webhook: handle %s: %w", ev.Type, err)
	}
	switch outcome {
	case Processed, Unmatched, Parked:
		return verdict{outcome: outcome}, nil
	case Ignored:
		return verdict{Ignored, ReasonNotOurs}, nil
	}
	return verdict{}, fmt.Errorf("webhook: handle %s: %q is no outcome a handler may return", ev.Type, outcome)
}

// Matched turns the result of a handler's statement into what the handler returns:
// Processed when it touched a row, Unmatched when it touched none, and its error. Write
// the statement so that it touches a row that is already as it should be, too.
//
//	return webhook.Matched(tx.ExecContext(ctx, `UPDATE orders SET status = 'paid' WHERE reference = $1`, ev.Reference))
func Matched(res sql.Result, err error) (Outcome, error) {
	if err != nil {
		return "", err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return "", err
	}
	if n == 0 {
		return Unmatched, nil
	}
	return Processed, nil
}

// retryable tells whether Postgres asks to run the whole transaction again: a
// serialization failure or a deadlock.
func retryable(err error) bool {
	state := sqlState(err)
	return state == "40001" || state == "40P01"
}

// sqlState is the SQLSTATE of a database error, whichever driver made it, or "".
func sqlState(err error) string {
	var coded interface{ SQLState() string }
	if errors.As(err, &coded) {
		return coded.SQLState()
	}
	return ""
}
