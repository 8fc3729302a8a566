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

// transact runs the event's transaction, and again when Postgres says that it lost a fight: nothing of it has happened then.
func (r *Receiver) transact(ctx context.Context, ev Event, n *notes) (outcome Outcome, err error) {
	handle := r.handler(ev)
	for range maxTries {
		n.reset()
		if outcome, err = r.attempt(ctx, ev, handle); !retryable(err) {
			break
		}
	}
	if err != nil {
		return Failed, err
	}
	return outcome, nil
}

// attempt is the transaction that matters: claim, handle, commit. It waits for the answer to
// COMMIT however long that takes: [Receiver.process] answers the delivery in time.
func (r *Receiver) attempt(ctx context.Context, ev Event, handle Handler) (Outcome, error) {
	tx, err := r.begin(ctx)
	if err != nil {
		return "", err
	}
	// After a commit this does nothing.
	defer func() { _ = tx.Rollback() }()

	outcome, why := Processed, Reason("")
	if handle == nil {
		outcome, why = Ignored, r.foreign(ev)
	}
	claimed, err := claim(ctx, tx, ev, outcome, why, r.opts.KeepPayload)
	if err != nil {
		return "", err
	}
	if !claimed {
		return Duplicate, nil
	}
	if handle != nil {
		if outcome, err = call(ctx, handle, handlerTx{tx}, ev); err != nil {
			return "", err
		}
	}
	if outcome == Unmatched || outcome == Parked {
		if err := settle(ctx, tx, ev, outcome, r.opts.KeepPayload); err != nil {
			return "", err
		}
	}
	if err := tx.CommitWait(ctx); err != nil {
		return "", fmt.Errorf("webhook: commit: %w", err)
	}
	return outcome, nil
}

// begin opens a transaction of the receiver's own, after preparing what the ones before it have sent.
func (r *Receiver) begin(ctx context.Context) (txQuerier, error) {
	r.prepared.prepare(ctx)
	tx, err := pg.Begin(ctx, r.db.DB)
	if err != nil {
		return txQuerier{}, fmt.Errorf("webhook: begin: %w", err)
	}
	return txQuerier{&sqlx.Tx{Tx: tx.Tx, Mapper: r.db.Mapper}, tx, r.prepared}, nil
}

// call runs a handler and takes only the outcomes it may return. Its panics are caught in [Receiver.process].
func call(ctx context.Context, handle Handler, tx Tx, ev Event) (Outcome, error) {
	outcome, err := handle(ctx, tx, ev)
	if err != nil {
		return "", fmt.Errorf("webhook: handle %s: %w", ev.Type, err)
	}
	switch outcome {
	case Processed, Unmatched, Parked:
		return outcome, nil
	}
	return "", fmt.Errorf("webhook: handle %s: %q is no outcome a handler may return", ev.Type, outcome)
}

// Matched turns the result of a handler's statement into what the handler returns: Processed when it touched a row,
// Unmatched when it touched none, and its error. Write the statement so that it touches a row that is already as it
// should be, too.
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

// retryable tells whether Postgres asks to run the whole transaction again: a serialization failure or a deadlock.
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
