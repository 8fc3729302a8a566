package webhook

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/booking-platform/booking-platform/internal/pg"
)

var (
	errBusy    = errors.New("webhook: the deliveries before this one took too long")
	errTimeout = errors.New("webhook: the transaction did not end in time and goes on in the background")
	errGoexit  = errors.New("webhook: the handler ended its goroutine")
)

// panicError is a panic below a delivery, and where it happened.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("webhook: panic: %v", e.value) }

// process runs a verified event through claim, handler and commit, and comes back within
// the time limit whatever database and handler do. The work has a goroutine of its own,
// because neither a driver whose read hangs nor a handler that ignores its context can be
// stopped. Its place at the gate stays taken until it has ended. Where the event's type
// has a handler together, the event is first offered to those that wait beside it.
func (r *Receiver) process(ctx context.Context, ev Event, n *annotations) (result, error) {
	limit, stop := context.WithTimeout(ctx, r.opts.Timeout)
	defer stop()
	// What the transaction leaves of the time is for recording that it failed.
	working, cancel := context.WithTimeout(ctx, r.opts.Timeout-r.recordTimeout())
	if err := r.inflight.acquireEvent(working, ev.ID); err != nil {
		cancel()
		return result{outcome: Failed}, errBusy
	}

	done := make(chan Delivery)
	go func() {
		start := time.Now()
		release := func() {}
		d := Delivery{Outcome: Failed, EventID: ev.ID, EventType: ev.Type, OriginRequestID: ev.RequestID,
			Bytes: len(ev.Payload), Err: errGoexit}
		// Deferred, because a handler may panic, which must not be the process's end, and
		// may end this goroutine: a test's FailNow does.
		defer func() {
			cancel()
			if p := recover(); p != nil {
				d.Err = &panicError{value: p, stack: debug.Stack()}
			}
			// A delivery that had no turn takes no connection to record it, and while
			// commits wait the record would wait too. A replica without a handler records
			// no failure: no replica may ever have one that settles it.
			handle, _ := r.handler(ev)
			if handle != nil && d.Err != nil && !errors.Is(d.Err, errBusy) && !errors.Is(d.Err, pg.ErrSuspended) {
				d.Err = errors.Join(d.Err, r.recordFailure(ctx, ev, d.Err))
			}
			release()
			r.inflight.releaseEvent(ev.ID)
			select {
			case done <- d:
			case <-limit.Done():
				// The delivery's own line has said that it failed. This one says what
				// came of it after all.
				d.Duration = time.Since(start)
				r.logDelivery(ctx, slog.LevelWarn, "webhook delivery ended after its answer", d, n)
			}
		}()
		if b := r.batcher(ev); b != nil && b.settle(working, ev) {
			d.Outcome, d.Err = Processed, nil
			return
		}
		slot, err := r.inflight.acquireSlot(working)
		if err != nil {
			d.Err = errBusy
			return
		}
		release = slot
		v, err := r.transact(working, ev, n)
		d.Outcome, d.Reason, d.Err = v.outcome, v.reason, err
	}()

	select {
	case d := <-done:
		return result{d.Outcome, d.Reason}, d.Err
	case <-limit.Done():
		return result{outcome: Failed}, errTimeout
	}
}

// processAndLog is process for an event that no request has brought: it writes the line that a
// delivery has, unless what came of it is not worth one.
func (r *Receiver) processAndLog(ctx context.Context, ev Event, message string, silent Outcome) (Outcome, error) {
	start := time.Now()
	n := &annotations{}
	ctx = context.WithValue(ctx, annotationsKey{}, n)
	v, err := r.process(ctx, ev, n)
	if v.outcome == silent {
		return v.outcome, err
	}
	d := Delivery{
		Outcome: v.outcome, Reason: v.reason, EventID: ev.ID, EventType: ev.Type, OriginRequestID: ev.RequestID,
		Bytes: len(ev.Payload), Duration: time.Since(start), Err: err,
	}
	r.logDelivery(ctx, responses[v].level, message, d, n)
	return v.outcome, err
}

// recordFailure notes a failed attempt beside the event, in a transaction and a time of
// its own: the attempt's transaction is gone, and its context perhaps too.
func (r *Receiver) recordFailure(ctx context.Context, ev Event, cause error) error {
	ctx, cancel := context.WithTimeout(ctx, r.recordTimeout())
	defer cancel()
	return pg.InTx(ctx, r.db.DB, func(tx *sql.Tx) error { return r.ledger.recordFailure(ctx, tx, ev, cause) })
}

func (r *Receiver) recordTimeout() time.Duration { return r.opts.Timeout / 5 }

// maxTries is how often a transaction is run that lost a fight with others.
const maxTries = 3

// transact runs the event's transaction, and runs it again after a serialization failure
// or a deadlock, which have rolled it back.
func (r *Receiver) transact(ctx context.Context, ev Event, n *annotations) (v result, err error) {
	handle, why := r.handler(ev)
	for range maxTries {
		n.reset()
		if v, err = r.attempt(ctx, ev, handle, why); !pg.Retryable(err) {
			break
		}
	}
	if err != nil {
		return result{outcome: Failed}, err
	}
	return v, nil
}

// attempt is the transaction that matters: claim, handle, commit. It waits for the answer
// to COMMIT however long that takes: [Receiver.process] answers the delivery in time.
// Without a handler, for the reason why, the event is recorded and left to other
// replicas.
func (r *Receiver) attempt(ctx context.Context, ev Event, handle Handler, why Reason) (v result, err error) {
	tx, err := r.begin(ctx)
	if err != nil {
		return result{}, err
	}
	// After a commit this does nothing.
	defer func() { _ = tx.Rollback() }()

	if handle == nil {
		v, err = r.recordIgnored(ctx, tx, ev, why)
	} else {
		v, err = r.handle(ctx, tx, ev, handle)
	}
	if err != nil || v.outcome == Duplicate {
		return v, err
	}
	if err := tx.CommitWait(ctx); err != nil {
		return result{}, fmt.Errorf("webhook: commit: %w", err)
	}
	return v, nil
}

// handle claims the event, has the handler do the work, and corrects the claim.
func (r *Receiver) handle(ctx context.Context, tx txQuerier, ev Event, handle Handler) (result, error) {
	claimed, overdue, err := r.ledger.claim(ctx, tx, ev, result{outcome: Processed})
	if err != nil {
		return result{}, err
	}
	if !claimed {
		return result{outcome: Duplicate}, nil
	}
	v, err := call(ctx, handle, handlerTx{tx}, ev)
	if err != nil {
		return result{}, err
	}
	if v.outcome == Unmatched && overdue {
		v = result{Ignored, ReasonNotOurs}
	}
	if v.outcome == Processed {
		return v, nil
	}
	return v, r.ledger.settle(ctx, tx, ev, v)
}

// recordIgnored records an event that this replica has no handler for.
func (r *Receiver) recordIgnored(ctx context.Context, tx txQuerier, ev Event, why Reason) (result, error) {
	outcome, err := r.ledger.recordIgnored(ctx, tx, ev, why)
	if err != nil || outcome != Ignored {
		why = ""
	}
	return result{outcome, why}, err
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
func call(ctx context.Context, handle Handler, tx Tx, ev Event) (result, error) {
	outcome, err := handle(ctx, tx, ev)
	if err != nil {
		return result{}, fmt.Errorf("webhook: handle %s: %w", ev.Type, err)
	}
	switch outcome {
	case Processed, Unmatched, Parked:
		return result{outcome: outcome}, nil
	case Ignored:
		return result{Ignored, ReasonNotOurs}, nil
	}
	return result{}, fmt.Errorf("webhook: handle %s: %q is no outcome a handler may return", ev.Type, outcome)
}

// FromResult turns the result of a handler's statement into what the handler returns:
// Processed when it touched a row, Unmatched when it touched none, and its error. Write
// the statement so that it touches a row that is already as it should be, too.
//
//	return webhook.FromResult(tx.ExecContext(ctx, `UPDATE orders SET status = 'paid' WHERE reference = $1`, ev.Reference))
func FromResult(res sql.Result, err error) (Outcome, error) {
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

// Receive takes an event that is known to be Stripe's without a signature, because Stripe
// answered it to a call of ours (GET /v1/events), through what a delivery goes through:
// claim, handler, commit. payload is the event as Stripe wrote it. What was settled
// before is a Duplicate; an event that a delivery is at work on waits for that. Safe on
// every replica at once.
//
// The outcome is Rejected, with a *[RejectedError], for what is no event, and Failed with
// why. It has no part in [Receiver.Stats] and in Options.Observe, which count deliveries;
// all but duplicates, of which a list is full, have their line in the log. It takes as
// long as Options.Timeout at most, and the round trips of [Receiver.ServeHTTP].
func (r *Receiver) Receive(ctx context.Context, payload []byte) (Outcome, error) {
	ev, ok := decode(payload)
	if !ok {
		return Rejected, &RejectedError{ReasonNotAnEvent}
	}
	return r.processAndLog(ctx, ev, "webhook event received without a delivery", Duplicate)
}
