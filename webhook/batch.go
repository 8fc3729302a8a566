package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// maxTogether is how many events one transaction settles at most.
	maxTogether = 64
	// maxBatches is how many such transactions are open at once, for each type of event:
	// one works while the other commits.
	maxBatches = 2
)

// WaitingEvent is an event that waits to be handled, with the context of its delivery,
// for [Annotate].
type WaitingEvent struct {
	Context context.Context
	Event   Event
}

// BatchHandler handles several events of a type in one transaction, and returns the ids
// of those it has settled as [Processed]. It takes what is plain: for the others it must
// have written nothing, and each of them goes to the type's [Handler], in a transaction
// of its own, as though nothing had been. So do all of them, those it has returned too,
// when it returns an error or panics, or the transaction fails: the state afterwards must
// be the same either way. It must not take two events that touch the same row, whose
// order may matter, and lock rows in the order of their ids.
//
// Its context is the transaction's; that of each delivery is with the event, and only for
// values.
type BatchHandler func(ctx context.Context, tx Tx, events []WaitingEvent) (settled []string, err error)

// HandleTogether has events of a type that wait at the same time share one transaction of
// [BatchHandler], besides the [Handler] that the type has to have. Nothing waits for
// company: who comes alone goes at once, and those who come while two such transactions
// are under way share the next one, up to 64. Each delivery is answered after the commit
// of its own event.
//
// Without it each event has a transaction of its own, which is what to begin with. Do it
// before serving. It panics without a Handler for the type, on a nil handler, and on a
// second one.
func (r *Receiver) HandleTogether(eventType string, h BatchHandler) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.handlers[eventType] == nil || h == nil {
		panic("webhook: HandleTogether needs a type that has a Handler, and a handler")
	}
	if r.together[eventType] != nil {
		panic("webhook: a second handler together for " + eventType)
	}
	r.together[eventType] = &together{receiver: r, handle: h}
}

// handlerTogether returns where an event waits for a batch, or nil. What has no handler,
// for whatever reason, is for the transaction that ignores it.
func (r *Receiver) handlerTogether(ev Event) *together {
	if h, _ := r.handler(ev); h == nil {
		return nil
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.together[ev.Type]
}

// together is what waits of one type. It needs no timer and no goroutine that waits for
// work: whoever finds less than maxBatches under way begins one, and each that ends
// begins the next.
type together struct {
	receiver *Receiver
	handle   BatchHandler

	mu      sync.Mutex
	waiting []*waiter
	batches int
}

type waiter struct {
	WaitingEvent
	// settled gets the answer. It has room for it, so that nobody waits for who has gone.
	settled chan bool
}

// settle waits for a batch and its end; false when the event is to be handled by itself:
// nothing of it has happened then.
func (t *together) settle(ctx context.Context, ev Event) bool {
	w := &waiter{WaitingEvent{ctx, ev}, make(chan bool, 1)}
	t.mu.Lock()
	t.waiting = append(t.waiting, w)
	t.begin()
	t.mu.Unlock()
	// Behind batches that hang nobody loses more than this.
	patience := time.NewTimer(t.limit())
	defer patience.Stop()
	select {
	case settled := <-w.settled:
		return settled
	case <-patience.C:
	case <-ctx.Done():
	}
	if t.withdraw(w) {
		return false
	}
	// It is part of a batch, whose end is near.
	return <-w.settled
}

// limit is how long an event waits for a batch, and then a batch takes. Two of them leave
// as much again for handling the event by itself.
func (t *together) limit() time.Duration { return t.receiver.opts.Timeout / 5 }

// withdraw takes an event back; false when a batch has it.
func (t *together) withdraw(w *waiter) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n, other := range t.waiting {
		if other == w {
			t.waiting = append(t.waiting[:n:n], t.waiting[n+1:]...)
			return true
		}
	}
	return false
}

// begin takes what waits into a batch, if there may be one more. The mutex is held.
func (t *together) begin() {
	if t.batches == maxBatches || len(t.waiting) == 0 {
		return
	}
	n := min(len(t.waiting), maxTogether)
	batch := t.waiting[:n:n]
	t.waiting = t.waiting[n:]
	t.batches++
	go t.run(batch)
}

// run settles a batch, and answers everybody in it.
func (t *together) run(batch []*waiter) {
	settled := map[string]bool{}
	// Deferred, because a handler may panic, and may end this goroutine. Whether it has
	// is told by each event's own attempt.
	defer func() {
		_ = recover()
		for _, w := range batch {
			w.settled <- settled[w.Event.ID]
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.batches--
		t.begin()
	}()
	// It belongs to no delivery in particular.
	ctx, cancel := context.WithTimeout(context.Background(), t.limit())
	defer cancel()
	leave, err := t.receiver.gate.enterSlot(ctx)
	if err != nil {
		return
	}
	defer leave()
	ids, err := t.receiver.attemptTogether(ctx, batch, t.handle)
	if err != nil {
		// What is wrong shows when each event is handled by itself; that it had to be is
		// worth knowing.
		t.receiver.log.DebugContext(ctx, "webhook: events that waited together are handled one by one", "events",
			len(batch), "error", err.Error())
		return
	}
	for _, id := range ids {
		settled[id] = true
	}
}

// attemptTogether is attempt for several events: it claims those that are new, and has
// the handler settle what it can. What it does not settle is left as it was.
func (r *Receiver) attemptTogether(ctx context.Context, batch []*waiter, handle BatchHandler) ([]string, error) {
	tx, err := r.begin(ctx)
	if err != nil {
		return nil, err
	}
	// After a commit this does nothing.
	defer func() { _ = tx.Rollback() }()

	claimed, err := r.ledger.claimTogether(ctx, tx, batch)
	if err != nil || len(claimed) == 0 {
		return nil, err
	}
	settled, err := handle(ctx, handlerTx{tx}, claimed)
	if err != nil {
		return nil, fmt.Errorf("webhook: handle together: %w", err)
	}
	if len(settled) < len(claimed) {
		if len(settled) == 0 {
			return nil, nil
		}
		if err := r.ledger.unclaim(ctx, tx, claimed, settled); err != nil {
			return nil, err
		}
	}
	if err := tx.CommitWait(ctx); err != nil {
		return nil, fmt.Errorf("webhook: commit: %w", err)
	}
	return settled, nil
}

// Only what is new is claimed together: what has a row, settled or not, or gets one from
// another replica meanwhile, is left to its own transaction. The rows are inserted in the
// order of their ids, so that two batches which wait for each other's do not do so in a
// circle.
const claimTogetherSQL = `
INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, api_version, account, livemode, object_id, stripe_session_id,
	stripe_payment_intent_id, payment_ref, outcome, payload, created_at, processed_at)
SELECT $2::text, t.id, t.type, t.api_version, t.account, t.livemode, t.object_id, t.session_id,
	t.intent_id, t.ref, 'processed', t.payload, t.created_at, statement_timestamp()
FROM jsonb_to_recordset($1::jsonb) AS t(id text, type text, api_version text, account text, livemode boolean, object_id text, session_id text,
	intent_id text, ref text, payload text, created_at timestamptz)
ORDER BY t.id
ON CONFLICT (receiver, stripe_event_id) DO NOTHING
RETURNING stripe_event_id`

type ledgerRow struct {
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

// claimTogether claims as processed the events that have no row yet, and returns them.
func (l ledger) claimTogether(ctx context.Context, q Querier, batch []*waiter) ([]WaitingEvent, error) {
	rows := make([]ledgerRow, len(batch))
	byID := make(map[string]WaitingEvent, len(batch))
	for n, w := range batch {
		ev := w.Event
		rows[n] = ledgerRow{
			ID: ev.ID, Type: ev.Type, APIVersion: ev.APIVersion, Account: ev.Account, Livemode: ev.Livemode,
			ObjectID:  ev.ObjectID,
			SessionID: ev.SessionID, IntentID: ev.PaymentIntentID, Ref: ev.Reference,
		}
		if payload := l.storedPayload(ev, Processed); payload.Valid {
			rows[n].Payload = &payload.String
		}
		if !ev.Created.IsZero() {
			rows[n].CreatedAt = &ev.Created
		}
		byID[ev.ID] = w.WaitingEvent
	}
	ids, err := l.queryIDs(ctx, q, claimTogetherSQL, rows)
	if err != nil {
		return nil, fmt.Errorf("webhook: claim together: %w", err)
	}
	claimed := make([]WaitingEvent, len(ids))
	for n, id := range ids {
		claimed[n] = byID[id]
	}
	return claimed, nil
}

const unclaimSQL = `
DELETE FROM booking_platform.payment_events e
WHERE e.receiver = $2::text AND e.stripe_event_id IN (SELECT t.id FROM jsonb_to_recordset($1::jsonb) AS t(id text))
RETURNING e.stripe_event_id`

// unclaim deletes the rows that this transaction has inserted for events which it did not
// settle.
func (l ledger) unclaim(ctx context.Context, q Querier, claimed []WaitingEvent, settled []string) error {
	var rows []ledgerRow
	for _, w := range claimed {
		if !slices.Contains(settled, w.Event.ID) {
			rows = append(rows, ledgerRow{ID: w.Event.ID})
		}
	}
	if len(rows)+len(settled) != len(claimed) {
		return fmt.Errorf("webhook: handle together: what was settled is not among what was to be")
	}
	if _, err := l.queryIDs(ctx, q, unclaimSQL, rows); err != nil {
		return fmt.Errorf("webhook: take claims back: %w", err)
	}
	return nil
}

// queryIDs runs a statement about rows that are sent as JSON, and reads the ids it
// returns.
func (l ledger) queryIDs(ctx context.Context, q Querier, query string, rows []ledgerRow) ([]string, error) {
	// Strings that were checked, flags and times until the year 9999 can always be
	// written.
	text, _ := json.Marshal(rows)
	found, err := q.QueryContext(ctx, query, string(text), l.name)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var ids []string
	for found.Next() {
		var id string
		if err := found.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, found.Err()
}
