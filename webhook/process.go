package webhook

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

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
func (r *Receiver) process(ctx context.Context, ev Event, n *notes) (verdict, error) {
	limit, stop := context.WithTimeout(ctx, r.opts.Timeout)
	defer stop()
	// What the transaction leaves of the time is for recording that it failed.
	working, cancel := context.WithTimeout(ctx, r.opts.Timeout-r.recordTimeout())
	if err := r.gate.enterEvent(working, ev.ID); err != nil {
		cancel()
		return verdict{outcome: Failed}, errBusy
	}

	done := make(chan Delivery)
	go func() {
		start := time.Now()
		leave := func() {}
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
			leave()
			r.gate.leaveEvent(ev.ID)
			select {
			case done <- d:
			case <-limit.Done():
				// The delivery's own line has said that it failed. This one says what
				// came of it after all.
				d.Duration = time.Since(start)
				r.logDelivery(ctx, slog.LevelWarn, "webhook delivery ended after its answer", d, n)
			}
		}()
		if t := r.handlerTogether(ev); t != nil && t.settle(working, ev) {
			d.Outcome, d.Err = Processed, nil
			return
		}
		slot, err := r.gate.enterSlot(working)
		if err != nil {
			d.Err = errBusy
			return
		}
		leave = slot
		v, err := r.transact(working, ev, n)
		d.Outcome, d.Reason, d.Err = v.outcome, v.reason, err
	}()

	select {
	case d := <-done:
		return verdict{d.Outcome, d.Reason}, d.Err
	case <-limit.Done():
		return verdict{outcome: Failed}, errTimeout
	}
}

// takeUp is process for an event that no request has brought: it writes the line that a
// delivery has, unless what came of it is not worth one.
func (r *Receiver) takeUp(ctx context.Context, ev Event, message string, silent Outcome) (Outcome, error) {
	start := time.Now()
	n := &notes{}
	ctx = context.WithValue(ctx, notesKey{}, n)
	v, err := r.process(ctx, ev, n)
	if v.outcome == silent {
		return v.outcome, err
	}
	d := Delivery{
		Outcome: v.outcome, Reason: v.reason, EventID: ev.ID, EventType: ev.Type, OriginRequestID: ev.RequestID,
		Bytes: len(ev.Payload), Duration: time.Since(start), Err: err,
	}
	r.logDelivery(ctx, consequences[v].level, message, d, n)
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
