package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

const (
	// maxBatchEvents bounds the events of one transaction.
	maxBatchEvents = 64
	// maxBatches bounds the running batches of a type: one works while the other commits.
	maxBatches = 2
)

// BatchEvent is one event of a batch, with the context of its delivery for [Annotate].
type BatchEvent struct {
	Context context.Context
	Event   Event
}

// BatchHandler handles several events of one type in one transaction, and returns the ids
// of those it settled as [Processed]. It may settle the simple cases alone: it writes
// nothing for the others, and each of those goes to the type's handlers in a transaction
// of its own. So do all events when it returns an error or panics, or the transaction
// fails, so both handlers must lead to the same state. It must not settle two events that
// touch the same row, and must lock rows in the order of their ids.
//
// ctx is that of the transaction. Use a [BatchEvent]'s Context for its values only.
type BatchHandler func(ctx context.Context, tx Tx, events []BatchEvent) (settled []string, err error)

// HandleBatch lets concurrent events of a type share a transaction of h. It is for
// endpoints that receive more events per second than the database can commit.
//
// A batch starts as soon as an event arrives and fewer than two batches are running;
// events that arrive meanwhile form the next batch, up to 64. There is no timer, so an
// event that arrives alone is not delayed. Each delivery is answered after the commit of
// its event.
//
// It is called before the type's handlers, whatever their order, so it must leave to them
// what it does not know. Call HandleBatch before serving. It panics if the type has no
// [Handler] or a second BatchHandler, and if h is nil.
func (r *Receiver) HandleBatch(eventType string, h BatchHandler) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.handlers[eventType]) == 0 || h == nil {
		panic("webhook: HandleBatch needs a type with a Handler, and a BatchHandler")
	}
	if r.batchers[eventType] != nil {
		panic("webhook: a second BatchHandler for " + eventType)
	}
	r.batchers[eventType] = &batcher{receiver: r, handle: h}
}

// batcher queues the events of one type. It has no goroutine of its own: an event that
// finds fewer than maxBatches running starts one, and each batch that ends starts the
// next.
type batcher struct {
	receiver *Receiver
	handle   BatchHandler

	mu      sync.Mutex
	queue   []*queuedEvent
	running int
}

type queuedEvent struct {
	BatchEvent
	settled chan batched // Buffered: the delivery may no longer wait.
}

// batched is the result of a batch for one event. Without both, nothing of the event was
// committed.
type batched struct {
	settled bool
	err     error
}

// settle queues an event and waits for its batch. It returns false if nothing of the
// event was committed: handle it alone.
func (b *batcher) settle(ctx context.Context, ev Event) (bool, error) {
	e := &queuedEvent{BatchEvent{ctx, ev}, make(chan batched, 1)}
	b.mu.Lock()
	b.queue = append(b.queue, e)
	b.startLocked()
	b.mu.Unlock()
	timer := time.NewTimer(b.timeout())
	defer timer.Stop()
	select {
	case v := <-e.settled:
		return v.settled, v.err
	case <-timer.C:
	case <-ctx.Done():
	}
	if b.withdraw(e) {
		return false, nil
	}
	// It is part of a running batch, which has a time limit.
	v := <-e.settled
	return v.settled, v.err
}

// timeout bounds the wait for a batch, and then the batch. Both leave half of the
// transaction's time for handling the event alone.
func (b *batcher) timeout() time.Duration { return b.receiver.opts.Timeout / 5 }

func (b *batcher) withdraw(e *queuedEvent) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n, other := range b.queue {
		if other == e {
			b.queue = append(b.queue[:n:n], b.queue[n+1:]...)
			return true
		}
	}
	return false
}

func (b *batcher) startLocked() {
	if b.running == maxBatches || len(b.queue) == 0 {
		return
	}
	n := min(len(b.queue), maxBatchEvents)
	batch := b.queue[:n:n]
	b.queue = b.queue[n:]
	b.running++
	go b.run(batch)
}

func (b *batcher) run(batch []*queuedEvent) {
	results := map[string]batched{}
	// Deferred, because a handler may panic or end its goroutine.
	defer func() {
		_ = recover()
		for _, e := range batch {
			e.settled <- results[e.Event.ID]
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.running--
		b.startLocked()
	}()
	ctx, cancel := context.WithTimeout(context.Background(), b.timeout())
	defer cancel()
	release, err := b.receiver.inflight.acquireSlot(ctx)
	if err != nil {
		return
	}
	defer release()
	err = b.receiver.attemptBatch(ctx, batch, b.handle, results)
	if err != nil {
		level := slog.LevelDebug
		if errors.Is(err, ErrTransactionEnded) {
			level = slog.LevelError
		}
		b.receiver.log.LogAttrs(ctx, level, "webhook batch failed; its events are handled one by one",
			slog.Int("events", len(batch)), slog.String("error", err.Error()))
	}
}

// attemptBatch is attempt for several events. It takes back the claims of those that were
// not settled, and adds the results of the others.
func (r *Receiver) attemptBatch(ctx context.Context, batch []*queuedEvent, handle BatchHandler,
	results map[string]batched) (err error) {
	tx, err := r.begin(ctx)
	if err != nil {
		return err
	}
	var claimed []BatchEvent
	var settled []string
	checked, handled := false, false
	defer func() {
		_ = tx.Rollback()
		if checked || !tx.watch.Suspect() {
			return
		}
		// Unless the handler said which events it settled, it may have changed
		// something for each.
		parked, open := split(claimed, settled, handled)
		if failure := r.parkCommitted(ctx, tx.watch, parked, open); failure != nil {
			err = errors.Join(err, failure)
			for _, ev := range parked {
				results[ev.ID] = batched{err: err}
			}
		}
	}()

	claimed, tx.watch.XID, err = r.ledger.claimBatch(ctx, tx, batch)
	if err != nil || len(claimed) == 0 {
		return err
	}
	settled, err = handle(ctx, handlerTx{tx}, claimed)
	if err != nil {
		return fmt.Errorf("webhook: handle batch: %w", err)
	}
	handled = true
	if err := tx.watch.Check(ctx, tx.Tx); err != nil {
		return fmt.Errorf("webhook: handle batch: %w", err)
	}
	checked = true
	if len(settled) == 0 {
		return nil
	}
	if len(settled) < len(claimed) {
		if err := r.ledger.unclaim(ctx, tx, claimed, settled); err != nil {
			return err
		}
	}
	for _, e := range claimed {
		if slices.Contains(settled, e.Event.ID) {
			if err := r.eraseLate(ctx, handlerTx{tx}, e.Event, Processed); err != nil {
				return err
			}
		}
	}
	if err := tx.CommitWait(ctx); err != nil {
		return fmt.Errorf("webhook: commit: %w", err)
	}
	for _, id := range settled {
		results[id] = batched{settled: true}
	}
	return nil
}

func split(claimed []BatchEvent, settled []string, handled bool) (parked, open []Event) {
	for _, e := range claimed {
		if handled && !slices.Contains(settled, e.Event.ID) {
			open = append(open, e.Event)
		} else {
			parked = append(parked, e.Event)
		}
	}
	return parked, open
}

// An event that has a row goes to its own transaction. Inserting in the order of the ids
// keeps batches from deadlocking.
const claimBatchSQL = `
INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, api_version, account, livemode,
	object_id, stripe_session_id, stripe_payment_intent_id, payment_ref, outcome, payload, created_at, processed_at)
SELECT $2::text, t.id, t.type, t.api_version, t.account, t.livemode,
	t.object_id, t.session_id, t.intent_id, t.ref, 'processed', t.payload, t.created_at, statement_timestamp()
FROM jsonb_to_recordset($1::jsonb) AS t(id text, type text, api_version text, account text, livemode boolean,
	object_id text, session_id text, intent_id text, ref text, payload text, created_at timestamptz)
ORDER BY t.id
ON CONFLICT (receiver, stripe_event_id) DO NOTHING
RETURNING stripe_event_id, pg_current_xact_id()::text`

type batchRow struct {
	ID         string     `json:"id"`
	Type       string     `json:"type"`
	APIVersion string     `json:"api_version"`
	Account    string     `json:"account"`
	Livemode   bool       `json:"livemode"`
	ObjectID   string     `json:"object_id"`
	SessionID  string     `json:"session_id"`
	IntentID   string     `json:"intent_id"`
	Ref        string     `json:"ref"`
	Payload    *string    `json:"payload"`
	CreatedAt  *time.Time `json:"created_at"`
}

// claimBatch claims as processed the events that are new, and returns them and the
// transaction's id.
func (l *Ledger) claimBatch(ctx context.Context, q Querier, batch []*queuedEvent) ([]BatchEvent, string, error) {
	rows := make([]batchRow, len(batch))
	byID := make(map[string]BatchEvent, len(batch))
	for n, e := range batch {
		ev := e.Event
		rows[n] = batchRow{
			ID: ev.ID, Type: ev.Type, APIVersion: ev.APIVersion, Account: ev.Account, Livemode: ev.Livemode,
			ObjectID: ev.ObjectID, SessionID: ev.SessionID, IntentID: ev.PaymentIntentID, Ref: ev.Reference,
		}
		if payload := l.storedPayload(ev, Processed); payload.Valid {
			rows[n].Payload = &payload.String
		}
		if !ev.Created.IsZero() {
			rows[n].CreatedAt = &ev.Created
		}
		byID[ev.ID] = e.BatchEvent
	}
	ids, xid, err := l.queryIDs(ctx, q, claimBatchSQL, rows)
	if err != nil {
		return nil, "", fmt.Errorf("webhook: claim batch: %w", err)
	}
	claimed := make([]BatchEvent, len(ids))
	for n, id := range ids {
		claimed[n] = byID[id]
	}
	return claimed, xid, nil
}

const unclaimSQL = `
DELETE FROM booking_platform.payment_events e
WHERE e.receiver = $2::text AND e.stripe_event_id IN (SELECT t.id FROM jsonb_to_recordset($1::jsonb) AS t(id text))
RETURNING e.stripe_event_id, pg_current_xact_id()::text`

// unclaim deletes the rows of events that were not settled.
func (l *Ledger) unclaim(ctx context.Context, q Querier, claimed []BatchEvent, settled []string) error {
	var rows []batchRow
	for _, e := range claimed {
		if !slices.Contains(settled, e.Event.ID) {
			rows = append(rows, batchRow{ID: e.Event.ID})
		}
	}
	if len(rows)+len(settled) != len(claimed) {
		return errors.New("webhook: handle batch: the handler returned the id of an event that it was not given")
	}
	if _, _, err := l.queryIDs(ctx, q, unclaimSQL, rows); err != nil {
		return fmt.Errorf("webhook: take claims back: %w", err)
	}
	return nil
}

func (l *Ledger) queryIDs(ctx context.Context, q Querier, query string, rows []batchRow) (
	ids []string, xid string, err error,
) {
	// It cannot fail: strings and times were checked by decode.
	text, _ := json.Marshal(rows)
	found, err := q.QueryContext(ctx, query, string(text), l.name)
	if err != nil {
		return nil, "", err
	}
	defer found.Close()
	for found.Next() {
		var id string
		if err := found.Scan(&id, &xid); err != nil {
			return nil, "", err
		}
		ids = append(ids, id)
	}
	return ids, xid, found.Err()
}
