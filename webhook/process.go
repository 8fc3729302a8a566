package webhook

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// ServeHTTP answers a delivery: 200 if the event is settled or will be retried; 400 or
// 413 if it is not an event from Stripe; 405 if it is not a POST; 429 after too many bad
// signatures; 500 if Stripe should send it again. The usual path takes BEGIN, one
// statement, the handler's statements, and COMMIT, or one statement with HandleBatch.
//
// Nothing may read the body before it. Reading has a deadline of Options.Timeout if
// http.ResponseController can set one; otherwise set the server's ReadTimeout.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		reply(w, http.StatusMethodNotAllowed, `{"error":"method_not_allowed"}`)
		return
	}
	start := time.Now()
	n := &annotations{}
	// A client that disconnects does not interrupt the transaction.
	ctx := context.WithValue(context.WithoutCancel(req.Context()), annotationsKey{}, n)

	r.counts.counts[countReceived].Add(1)
	d := r.receive(ctx, w, req, n)
	c := responses[result{d.Outcome, d.Reason}]
	d.Status, d.Duration = c.status, time.Since(start)
	r.counts.note(d, c.counter, start.Add(d.Duration))
	r.logDelivery(ctx, c.level, "webhook delivery", d, n)
	if r.opts.Observe != nil {
		r.opts.Observe(ctx, d)
	}
	if d.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((d.retryAfter+time.Second-1)/time.Second)))
	}
	reply(w, c.status, body(d))
}

func (r *Receiver) receive(ctx context.Context, w http.ResponseWriter, req *http.Request, n *annotations) Delivery {
	payload, err := r.readBody(w, req)
	if err != nil {
		reason := ReasonBodyUnreadable
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			reason = ReasonBodyTooLarge
		}
		return Delivery{Outcome: Rejected, Reason: reason, Bytes: len(payload), Err: err}
	}
	ev, position, err := verify(payload, req.Header.Get("Stripe-Signature"), r.secrets, r.opts.Tolerance, r.opts.Now())
	if rejected := (*RejectedError)(nil); errors.As(err, &rejected) {
		d := Delivery{Outcome: Rejected, Reason: rejected.Reason, Bytes: len(payload)}
		r.limitSignatures(&d, req)
		return d
	}
	v, err := r.process(ctx, ev, n)
	return Delivery{
		Outcome: v.outcome, Reason: v.reason, EventID: ev.ID, EventType: ev.Type, OriginRequestID: ev.RequestID,
		OtherVersion: ev.APIVersion != stripe.APIVersion, Secret: position, Bytes: len(payload), Err: err,
	}
}

const (
	// firstRead is what is allocated for a body before anything of it has arrived, and
	// maxAhead what is allocated at once afterwards. Most events are smaller.
	firstRead = 512
	maxAhead  = 8 << 10
)

// readBody does not allocate the announced length before the client has sent something, so
// that slow clients cost little memory.
func (r *Receiver) readBody(w http.ResponseWriter, req *http.Request) ([]byte, error) {
	// An error means that the writer hides its connection; see ServeHTTP.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(r.opts.Timeout))
	in := http.MaxBytesReader(w, req.Body, r.opts.MaxBody)
	payload := make([]byte, 0, firstRead)
	for {
		n, err := in.Read(payload[len(payload):cap(payload)])
		payload = payload[:len(payload)+n]
		if errors.Is(err, io.EOF) {
			return payload, nil
		}
		if err != nil {
			return payload, err
		}
		if len(payload) == cap(payload) {
			// One more byte than announced, for the end of the body.
			ahead := min(req.ContentLength+1, maxAhead) - int64(len(payload))
			payload = slices.Grow(payload, int(max(ahead, firstRead)))
		}
	}
}

func body(d Delivery) string {
	switch d.Outcome {
	case Failed:
		return `{"error":"internal"}`
	case Rejected:
		return `{"error":"` + string(d.Reason) + `"}`
	}
	return `{"received":true,"outcome":"` + string(d.Outcome) + `"}`
}

func reply(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// An error means that the client has gone.
	_, _ = io.WriteString(w, body+"\n")
}

var (
	errBusy    = errors.New("webhook: the deliveries before this one took too long")
	errTimeout = errors.New("webhook: the transaction did not end in time and goes on in the background")
	errGoexit  = errors.New("webhook: the handler ended its goroutine")
)

type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("webhook: panic: %v", e.value) }

// process runs claim, handler and commit for a verified event, and returns within the
// time limit. The work has its own goroutine, because neither a hanging driver nor a
// handler that ignores its context can be stopped; it keeps its slot until it has ended.
func (r *Receiver) process(ctx context.Context, ev Event, n *annotations) (result, error) {
	limit, stop := context.WithTimeout(ctx, r.opts.Timeout)
	defer stop()
	// The rest of the time is for recording a failure.
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
		// Deferred, because a handler may panic or end its goroutine, as a test's FailNow
		// does.
		defer func() {
			cancel()
			if p := recover(); p != nil {
				d.Err = &panicError{value: p, stack: debug.Stack()}
			}
			// Without a slot, and while commits wait for a standby, recording would wait
			// too. A failure recorded without a handler might never be settled.
			handlers, _ := r.handlersFor(ev)
			if len(handlers) > 0 && d.Err != nil && !errors.Is(d.Err, errBusy) && !errors.Is(d.Err, pg.ErrSuspended) {
				d.Err = errors.Join(d.Err, r.recordFailure(ctx, ev, d.Err))
			}
			release()
			r.inflight.releaseEvent(ev.ID)
			select {
			case done <- d:
			case <-limit.Done():
				// The delivery's own line says that it failed.
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

// recordFailure has its own transaction and time limit: those of the attempt have ended.
func (r *Receiver) recordFailure(ctx context.Context, ev Event, cause error) error {
	ctx, cancel := context.WithTimeout(ctx, r.recordTimeout())
	defer cancel()
	return pg.InTx(ctx, r.db.DB, func(tx *sql.Tx) error {
		if err := r.ledger.recordFailure(ctx, tx, ev, cause); err != nil {
			return err
		}
		return r.eraseLate(ctx, tx, ev, Failed)
	})
}

func (r *Receiver) recordTimeout() time.Duration { return r.opts.Timeout / 5 }

// maxTries bounds the attempts of a transaction that loses against concurrent ones.
const maxTries = 3

// transact calls the handlers of the event, each in a transaction of its own, until one
// takes the event.
func (r *Receiver) transact(ctx context.Context, ev Event, n *annotations) (result, error) {
	handlers, why := r.handlersFor(ev)
	if len(handlers) == 0 {
		return r.retry(n, func() (result, error) { return r.recordIgnored(ctx, ev, why) })
	}
	left := result{Ignored, ReasonNotOurs}
	overdue := false
	for _, h := range handlers {
		v, err := r.retry(n, func() (v result, err error) {
			v, overdue, err = r.attempt(ctx, ev, h)
			return v, err
		})
		switch {
		case err != nil || v.outcome != Unmatched && v.outcome != Ignored:
			return v, err
		case v.outcome == Unmatched && !overdue:
			left = v
		}
	}
	return r.recordLeft(ctx, ev, left)
}

// retry repeats a transaction that loses against concurrent ones.
func (r *Receiver) retry(n *annotations, transaction func() (result, error)) (v result, err error) {
	for range maxTries {
		n.reset()
		v, err = transaction()
		if !pg.Retryable(err) || errors.Is(err, ErrTransactionEnded) {
			break
		}
	}
	if err != nil {
		return result{outcome: Failed}, err
	}
	return v, nil
}

// attempt is one transaction: claim as processed, handle, correct the claim if needed,
// commit. It waits for COMMIT without a time limit. It rolls back if the event is not the
// handler's.
func (r *Receiver) attempt(ctx context.Context, ev Event, h Handler) (v result, overdue bool, err error) {
	tx, err := r.begin(ctx)
	if err != nil {
		return result{}, false, err
	}
	checked := false
	defer func() {
		_ = tx.Rollback()
		if !checked && tx.watch.Suspect() {
			err = errors.Join(err, r.parkCommitted(ctx, tx.watch, ev))
		}
	}()
	xid, overdue, err := r.ledger.claim(ctx, tx, ev, result{outcome: Processed})
	if errors.Is(err, errSettled) {
		return result{outcome: Duplicate}, false, nil
	}
	if err != nil {
		return result{}, false, err
	}
	tx.watch.XID = xid
	v, err = call(ctx, h, handlerTx{tx}, ev)
	if err != nil {
		return result{}, false, err
	}
	if err := tx.watch.Check(ctx, tx.Tx); err != nil {
		return result{}, false, fmt.Errorf("webhook: handle %s: %w", ev.Type, err)
	}
	checked = true
	switch v.outcome {
	case Unmatched, Ignored:
		return v, overdue, nil
	case Parked:
		if err := r.ledger.park(ctx, tx, ev); err != nil {
			return result{}, false, err
		}
	}
	if err := r.eraseLate(ctx, handlerTx{tx}, ev, v.outcome); err != nil {
		return result{}, false, err
	}
	if err := tx.CommitWait(ctx); err != nil {
		return result{}, false, fmt.Errorf("webhook: commit: %w", err)
	}
	return v, false, nil
}

// recordLeft records an event that no handler took, unless it was settled meanwhile.
func (r *Receiver) recordLeft(ctx context.Context, ev Event, v result) (result, error) {
	record := func(ctx context.Context, q pg.Querier) (struct{}, error) {
		_, _, err := r.ledger.claim(ctx, q, ev, v)
		return struct{}{}, err
	}
	var err error
	if r.opts.Erased == nil {
		_, err = pg.Autocommit(ctx, r.db.DB, record)
	} else {
		err = pg.InTx(ctx, r.db.DB, func(tx *sql.Tx) error {
			if _, err := record(ctx, tx); err != nil {
				return err
			}
			return r.eraseLate(ctx, tx, ev, v.outcome)
		})
	}
	switch {
	case errors.Is(err, errSettled):
		return result{outcome: Duplicate}, nil
	case err != nil:
		return result{outcome: Failed}, err
	}
	return v, nil
}

// recordIgnored records an event that has no handler.
func (r *Receiver) recordIgnored(ctx context.Context, ev Event, why Reason) (result, error) {
	tx, err := r.begin(ctx)
	if err != nil {
		return result{}, err
	}
	defer func() { _ = tx.Rollback() }()
	outcome, err := r.ledger.recordIgnored(ctx, tx, ev, why)
	if err != nil || outcome != Ignored {
		return result{outcome: outcome}, err
	}
	if err := r.eraseLate(ctx, handlerTx{tx}, ev, outcome); err != nil {
		return result{}, err
	}
	if err := tx.CommitWait(ctx); err != nil {
		return result{}, fmt.Errorf("webhook: commit: %w", err)
	}
	return result{Ignored, why}, nil
}

// begin opens a transaction, after preparing the statements that earlier ones have sent.
func (r *Receiver) begin(ctx context.Context) (txQuerier, error) {
	if r.prepared != nil {
		r.prepared.PrepareNoted(ctx)
	}
	tx, err := pg.Begin(ctx, r.db.DB)
	if err != nil {
		return txQuerier{}, fmt.Errorf("webhook: begin: %w", err)
	}
	return txQuerier{&sqlx.Tx{Tx: tx.Tx, Mapper: r.db.Mapper}, tx, r.prepared, &pg.Watch{}}, nil
}

// call runs a handler and rejects outcomes it may not return.
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

// inflight limits how many deliveries use the database at once, and serialises deliveries
// of the same event, so that a burst of duplicates cannot exhaust the connection pool. It
// is an optimisation for one process: correctness comes from the ledger's primary key.
//
// Acquire the event before the slot, so that deliveries that wait for each other occupy
// one slot together.
type inflight struct {
	slots chan struct{}

	mu     sync.Mutex
	events map[string]chan struct{} // By event id; closed on release.
}

func newInflight(slots int) *inflight {
	return &inflight{slots: make(chan struct{}, slots), events: map[string]chan struct{}{}}
}

// acquireSlot waits for a slot or until ctx ends. The caller must call release once.
func (f *inflight) acquireSlot(ctx context.Context) (release func(), err error) {
	select {
	case f.slots <- struct{}{}:
		return func() { <-f.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// acquireEvent waits until no other delivery of the event is in flight or ctx ends. The
// caller must call releaseEvent once.
func (f *inflight) acquireEvent(ctx context.Context, id string) error {
	for {
		f.mu.Lock()
		released, taken := f.events[id]
		if !taken {
			f.events[id] = make(chan struct{})
		}
		f.mu.Unlock()
		if !taken {
			return nil
		}
		select {
		case <-released:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *inflight) releaseEvent(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.events[id])
	delete(f.events, id)
}
