package webhook

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/booking-platform/booking-platform/internal/pg"
)

const (
	// maxBatchEvents bounds the events of one statement.
	maxBatchEvents = 64
	// maxBatches bounds the running statements of a type: one works while the other
	// commits.
	maxBatches = 2
)

// Batch settles plain events of one type, one or many, with a single SQL statement that
// commits by itself: one round trip instead of BEGIN, claim, the handler's statements and
// COMMIT. What is plain is the Batch's to say. Every other event goes to the type's
// handlers in a transaction of its own, and so does every event of a statement that fails,
// so both ways must lead to the same state.
//
// Choose and Apply are common table expressions, without WITH. The receiver composes
//
//	WITH Choose, claimed AS (…), Apply SELECT …
//
// where claimed(event_id text) are the events of chosen that had no row in the ledger and
// have one now. The statement sees the tables as they were when it began; a row that it
// has locked, and one that it updates, is looked at again. $1 and $2 are the receiver's.
//
//   - Choose reads $3::jsonb, the array of what Row returned, and defines chosen(event_id
//     text): each event once at most, and no two events that touch the same row. It locks
//     what Apply changes, and should skip what is locked (FOR UPDATE SKIP LOCKED): a
//     statement that waits for one event's lock delays the others.
//   - Apply reads claimed and what Choose defined, and defines applied(event_id text,
//     detail text): one row for each event whose changes are complete. An event of claimed
//     that is not in applied fails the statement, so that nothing of it remains.
type Batch struct {
	// Row returns what the statement needs to know of an event, which is marshalled to a
	// JSON object, or false if the event cannot be plain. ctx has the values of the
	// delivery's. Called concurrently.
	Row           func(ctx context.Context, ev Event) (row any, plain bool)
	Choose, Apply string
	// Settled is called for each event that was settled, with its detail, to call
	// [Annotate]. May be nil.
	Settled func(ctx context.Context, detail string)
}

// HandleBatch lets concurrent plain events of a type share a statement of b. It is for
// endpoints that receive more events per second than the database can commit one by one.
//
// A statement starts as soon as an event arrives and fewer than two are running; events
// that arrive meanwhile form the next one, up to 64. There is no timer, so an event that
// arrives alone is not delayed. Each delivery is answered after the commit of its event.
//
// It goes before the type's handlers, whatever their order, so it must leave to them what
// it does not know. With Options.KeepPayload and Options.Erased together it is not used.
// Call HandleBatch before serving. It panics if the type has no [Handler] or a second
// Batch, and if Row, Choose or Apply is missing.
func (r *Receiver) HandleBatch(eventType string, b Batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.handlers[eventType]) == 0 || b.Row == nil || b.Choose == "" || b.Apply == "" {
		panic("webhook: HandleBatch needs a type with a Handler, and a Batch with Row, Choose and Apply")
	}
	if r.batchers[eventType] != nil {
		panic("webhook: a second Batch for " + eventType)
	}
	r.batchers[eventType] = &batcher{receiver: r, Batch: b, sql: b.statement()}
}

// A claimed event that was not applied divides by zero, which undoes the statement. Claims
// in the order of the ids keep statements from deadlocking.
func (b Batch) statement() string {
	return `WITH ` + b.Choose + `, claimed AS (
	INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, api_version, account, livemode,
		object_id, stripe_session_id, stripe_payment_intent_id, payment_ref, outcome, payload, created_at, processed_at)
	SELECT $2::text, e.id, e.type, e.api_version, e.account, e.livemode,
		e.object_id, e.session_id, e.intent_id, e.ref, 'processed', e.payload, e.created_at, statement_timestamp()
	FROM jsonb_to_recordset($1::jsonb) AS e(id text, type text, api_version text, account text, livemode boolean,
		object_id text, session_id text, intent_id text, ref text, payload text, created_at timestamptz)
	JOIN chosen c ON c.event_id = e.id
	ORDER BY e.id
	ON CONFLICT (receiver, stripe_event_id) DO NOTHING
	RETURNING stripe_event_id AS event_id
), ` + b.Apply + `
SELECT c.event_id, coalesce(a.detail, ''), 1 / (a.event_id IS NOT NULL)::integer
FROM claimed c LEFT JOIN applied a ON a.event_id = c.event_id`
}

// batcher queues the events of one type. It has no goroutine of its own: an event that
// finds fewer than maxBatches running starts one, and each statement that ends starts the
// next.
type batcher struct {
	Batch
	receiver *Receiver
	sql      string

	mu      sync.Mutex
	queue   []*queuedEvent
	running int
}

type queuedEvent struct {
	event   Event
	row     any
	settled chan *string // The detail, or nil. Buffered: the delivery may no longer wait.
}

// settle queues an event and waits for its statement. It returns false if the event is not
// plain, or its statement has failed or gave no answer in time: handle it alone.
func (b *batcher) settle(ctx context.Context, ev Event) bool {
	if opts := b.receiver.opts; opts.KeepPayload && opts.Erased != nil {
		return false
	}
	row, plain := b.Row(ctx, ev)
	if !plain {
		return false
	}
	e := &queuedEvent{ev, row, make(chan *string, 1)}
	b.mu.Lock()
	b.queue = append(b.queue, e)
	b.startLocked()
	b.mu.Unlock()
	timer := time.NewTimer(b.timeout())
	defer timer.Stop()
	var detail *string
	select {
	case detail = <-e.settled:
	case <-timer.C:
		if b.withdraw(e) {
			return false
		}
		// It is part of a running statement, which has a time limit.
		detail = <-e.settled
	}
	if detail != nil && b.Settled != nil {
		b.Settled(ctx, *detail)
	}
	return detail != nil
}

// timeout bounds the wait for a statement, and then for its answer. Both leave half of the
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
	var settled map[string]string
	// Deferred, because a driver may panic.
	defer func() {
		_ = recover()
		for _, e := range batch {
			var answer *string
			if detail, ok := settled[e.event.ID]; ok {
				answer = &detail
			}
			e.settled <- answer
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
	if settled, err = b.execute(ctx, batch); err != nil {
		b.receiver.log.LogAttrs(ctx, slog.LevelDebug, "webhook batch failed; its events are handled one by one",
			slog.Int("events", len(batch)), slog.String("error", err.Error()))
	}
}

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

// execute runs the statement and returns the details of the events that it settled. When
// ctx ends, the statement goes on and its answer does not count; see package pg.
func (b *batcher) execute(ctx context.Context, batch []*queuedEvent) (map[string]string, error) {
	r := b.receiver
	events, rows := make([]batchRow, len(batch)), make([]any, len(batch))
	for n, e := range batch {
		ev := e.event
		events[n] = batchRow{
			ID: ev.ID, Type: ev.Type, APIVersion: ev.APIVersion, Account: ev.Account, Livemode: ev.Livemode,
			ObjectID: ev.ObjectID, SessionID: ev.SessionID, IntentID: ev.PaymentIntentID, Ref: ev.Reference,
		}
		if payload := r.ledger.storedPayload(ev, Processed); payload.Valid {
			events[n].Payload = &payload.String
		}
		if !ev.Created.IsZero() {
			events[n].CreatedAt = &batch[n].event.Created
		}
		rows[n] = e.row
	}
	// It cannot fail: strings and times were checked by decode.
	claims, _ := json.Marshal(events)
	details, err := json.Marshal(rows)
	if err != nil {
		return nil, fmt.Errorf("webhook: batch: %w", err)
	}
	var prepared *sql.Stmt
	if r.prepared != nil {
		if prepared, err = r.prepared.Prepare(ctx, b.sql); err != nil {
			return nil, fmt.Errorf("webhook: batch: %w", err)
		}
	}
	db := r.db.DB
	run := func(ctx context.Context, q pg.Querier) (map[string]string, error) {
		return queryDetails(ctx, q, prepared, b.sql, string(claims), r.name, string(details))
	}
	settled, err := pg.Write(ctx, db, func(ctx context.Context) (map[string]string, error) { return run(ctx, db) })
	if pg.Retryable(err) {
		// A statement by itself has the role's isolation, which may be above READ COMMITTED.
		err = pg.InTx(ctx, db, func(tx *sql.Tx) (err error) {
			settled, err = run(ctx, tx)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("webhook: batch: %w", err)
	}
	return settled, nil
}

// queryDetails returns the first two columns of a statement. prepared is the statement if
// it is prepared, or nil.
func queryDetails(ctx context.Context, q pg.Querier, prepared *sql.Stmt, query string,
	args ...any) (map[string]string, error) {
	var rows *sql.Rows
	var err error
	if tx, ok := q.(*sql.Tx); prepared != nil && ok {
		rows, err = tx.StmtContext(ctx, prepared).QueryContext(ctx, args...)
	} else if prepared != nil {
		rows, err = prepared.QueryContext(ctx, args...)
	} else {
		rows, err = q.QueryContext(ctx, query, args...)
	}
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	details := map[string]string{}
	for rows.Next() {
		var id, detail string
		var complete int
		if err := rows.Scan(&id, &detail, &complete); err != nil {
			return nil, err
		}
		details[id] = detail
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	// The error of an implicit commit may come as late as Close.
	if err := rows.Close(); err != nil {
		return nil, err
	}
	return details, nil
}
