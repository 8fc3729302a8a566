package webhook

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/jmoiron/sqlx/reflectx"
)

// Entry is a row of the ledger: one Stripe event and its outcome. Times are UTC.
type Entry struct {
	ID              string
	Type            string
	APIVersion      string
	Account         string
	Livemode        bool
	ObjectID        string
	SessionID       string
	PaymentIntentID string
	Reference       string
	Outcome         Outcome
	Reason          Reason
	// Attempts counts the deliveries that were processed, without duplicates.
	Attempts  int
	LastError string
	// Created is when Stripe made the event, zero when unknown.
	Created time.Time
	// ReceivedAt is the arrival of the first delivery that was processed.
	ReceivedAt time.Time
	// ProcessedAt is when the event was settled; zero while it is failed or unmatched.
	ProcessedAt time.Time
}

// ListOptions narrows [Ledger.List]. The zero value is the newest 50 events.
type ListOptions struct {
	Outcome Outcome
	Reason  Reason
	Type    string
	// Since (inclusive) and Until (exclusive) bound the time of receipt.
	Since, Until time.Time
	// Before is the last ID of the previous page.
	Before string
	// Limit is 50 by default, and 500 at most.
	Limit int
}

// The row comparison can use the index on (received_at, stripe_event_id).
const listSQL = `
SELECT e.stripe_event_id, e.type, e.api_version, e.account, e.livemode, e.object_id, e.stripe_session_id,
	e.stripe_payment_intent_id, e.payment_ref, e.outcome, e.reason, e.attempts, e.last_error, e.created_at,
	e.received_at, e.processed_at
FROM booking_platform.payment_events e
WHERE e.receiver = $7::text
	AND ($1::text = '' OR e.outcome = $1::text)
	AND ($8::text = '' OR e.reason = $8::text)
	AND ($2::text = '' OR e.type = $2::text)
	AND (e.received_at, e.stripe_event_id) < (CASE WHEN $3::text = '' THEN 'infinity'::timestamptz ELSE
		(SELECT b.received_at FROM booking_platform.payment_events b
			WHERE b.receiver = $7::text AND b.stripe_event_id = $3::text) END, $3::text)
	AND e.received_at >= COALESCE($5::timestamptz, '-infinity'::timestamptz)
	AND e.received_at < COALESCE($6::timestamptz, 'infinity'::timestamptz)
ORDER BY e.received_at DESC, e.stripe_event_id DESC
LIMIT $4::integer`

type entryRow struct {
	ID              string              `db:"stripe_event_id"`
	Type            string              `db:"type"`
	APIVersion      string              `db:"api_version"`
	Account         string              `db:"account"`
	Livemode        bool                `db:"livemode"`
	ObjectID        string              `db:"object_id"`
	SessionID       string              `db:"stripe_session_id"`
	PaymentIntentID string              `db:"stripe_payment_intent_id"`
	Reference       string              `db:"payment_ref"`
	Outcome         string              `db:"outcome"`
	Reason          string              `db:"reason"`
	Attempts        int                 `db:"attempts"`
	LastError       string              `db:"last_error"`
	Created         sql.Null[time.Time] `db:"created_at"`
	ReceivedAt      time.Time           `db:"received_at"`
	ProcessedAt     sql.Null[time.Time] `db:"processed_at"`
}

// Not sqlx.NameMapper, which the embedding program may change.
var mapper = reflectx.NewMapperFunc("db", strings.ToLower)

// List returns events without their payloads, newest first. One round trip.
func (l *Ledger) List(ctx context.Context, opts ListOptions) ([]Entry, error) {
	if l.err != nil {
		return nil, l.err
	}
	limit := opts.Limit
	if limit <= 0 {
		limit = 50
	}
	rows, err := l.q.QueryContext(ctx, listSQL, string(opts.Outcome), opts.Type, opts.Before, min(limit, 500),
		orNull(opts.Since), orNull(opts.Until), l.name, string(opts.Reason))
	if err != nil {
		return nil, fmt.Errorf("webhook: list: %w", err)
	}
	defer rows.Close()
	var out []Entry
	for scan := (&sqlx.Rows{Rows: rows, Mapper: mapper}); scan.Next(); {
		var e entryRow
		if err := scan.StructScan(&e); err != nil {
			return nil, fmt.Errorf("webhook: list: %w", err)
		}
		out = append(out, e.entry())
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("webhook: list: %w", err)
	}
	return out, nil
}

func (e entryRow) entry() Entry {
	return Entry{
		ID: e.ID, Type: e.Type, APIVersion: e.APIVersion, Account: e.Account, Livemode: e.Livemode,
		ObjectID: e.ObjectID, SessionID: e.SessionID, PaymentIntentID: e.PaymentIntentID, Reference: e.Reference,
		Outcome: Outcome(e.Outcome), Reason: Reason(e.Reason), Attempts: e.Attempts, LastError: e.LastError,
		Created: utc(e.Created), ReceivedAt: e.ReceivedAt.UTC(), ProcessedAt: utc(e.ProcessedAt),
	}
}

func orNull(t time.Time) sql.Null[time.Time] {
	return sql.Null[time.Time]{V: t, Valid: !t.IsZero()}
}

func utc(t sql.Null[time.Time]) time.Time {
	if !t.Valid {
		return time.Time{}
	}
	return t.V.UTC()
}

// ErrNotFound means that an event is not in the ledger.
var ErrNotFound = errors.New("webhook: no such event")

// Record is an Entry with the event's body.
type Record struct {
	Entry
	// Payload is the signed body, or nil if it is not kept. It contains customers' data.
	Payload []byte
}

const findSQL = `
SELECT e.stripe_event_id, e.type, e.api_version, e.account, e.livemode, e.object_id, e.stripe_session_id,
	e.stripe_payment_intent_id, e.payment_ref, e.outcome, e.reason, e.attempts, e.last_error, e.created_at,
	e.received_at, e.processed_at, e.payload
FROM booking_platform.payment_events e
WHERE e.receiver = $1::text AND e.stripe_event_id = $2::text`

type recordRow struct {
	entryRow
	Payload sql.NullString `db:"payload"`
}

// Find returns one event with its payload, or [ErrNotFound]. One round trip.
func (l *Ledger) Find(ctx context.Context, id string) (Record, error) {
	if l.err != nil {
		return Record{}, l.err
	}
	if bounded(id, maxID) == "" {
		return Record{}, ErrNotFound
	}
	rows, err := l.q.QueryContext(ctx, findSQL, l.name, id)
	if err != nil {
		return Record{}, fmt.Errorf("webhook: find %s: %w", id, err)
	}
	defer rows.Close()
	var row recordRow
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return Record{}, fmt.Errorf("webhook: find %s: %w", id, err)
		}
		return Record{}, ErrNotFound
	}
	if err := (&sqlx.Rows{Rows: rows, Mapper: mapper}).StructScan(&row); err != nil {
		return Record{}, fmt.Errorf("webhook: find %s: %w", id, err)
	}
	record := Record{Entry: row.entry()}
	if row.Payload.Valid {
		record.Payload = []byte(row.Payload.String)
	}
	return record, nil
}

// Backlog counts the events of a ledger that are not settled. Times are UTC.
type Backlog struct {
	// Failed and Unmatched are retried automatically; Parked are for an operator.
	Failed, Unmatched, Parked int
	// UnmatchedSessions counts the unmatched events about a Checkout Session. Others look
	// the same as events of another product on the Stripe account and end as Ignored: do
	// not alert on them.
	UnmatchedSessions int
	// Oldest is when the oldest failed event, or unmatched event about a Checkout
	// Session, was received; zero if there is none. Age is since then by the database's
	// clock. Alert on Age.
	Oldest time.Time
	Age    time.Duration
	// LastProcessed is the last processing of one of the newest thousand events, or zero.
	LastProcessed time.Time
}

// Reads the partial index of open events and the newest rows: an index on processed_at
// would slow down every delivery.
const backlogSQL = `
SELECT w.failed, w.unmatched, w.parked, w.sessions, w.oldest,
	COALESCE(extract(epoch FROM statement_timestamp() - w.oldest) * 1000, 0)::bigint,
	(SELECT max(n.processed_at) FROM (
		SELECT e.outcome, e.processed_at FROM booking_platform.payment_events e
		WHERE e.receiver = $1::text
		ORDER BY e.received_at DESC, e.stripe_event_id DESC LIMIT 1000) n
	WHERE n.outcome = 'processed')
FROM (
	SELECT count(*) FILTER (WHERE e.outcome = 'failed') AS failed,
		count(*) FILTER (WHERE e.outcome = 'unmatched') AS unmatched,
		count(*) FILTER (WHERE e.outcome = 'parked') AS parked,
		count(*) FILTER (WHERE e.outcome = 'unmatched' AND e.stripe_session_id <> '') AS sessions,
		min(e.received_at) FILTER (WHERE e.outcome = 'failed'
			OR e.outcome = 'unmatched' AND e.stripe_session_id <> '') AS oldest
	FROM booking_platform.payment_events e
	WHERE e.receiver = $1::text AND e.outcome IN ('failed', 'unmatched', 'parked')) w`

// Backlog counts the events that are not settled, of all replicas. One round trip.
func (l *Ledger) Backlog(ctx context.Context) (Backlog, error) {
	if l.err != nil {
		return Backlog{}, l.err
	}
	var b Backlog
	var oldest, last sql.Null[time.Time]
	var milliseconds int64
	err := l.q.QueryRowContext(ctx, backlogSQL, l.name).
		Scan(&b.Failed, &b.Unmatched, &b.Parked, &b.UnmatchedSessions, &oldest, &milliseconds, &last)
	if err != nil {
		return Backlog{}, fmt.Errorf("webhook: read the backlog: %w", err)
	}
	b.Oldest, b.Age, b.LastProcessed = utc(oldest), time.Duration(milliseconds)*time.Millisecond, utc(last)
	return b, nil
}

const ignoreSQL = `
WITH was AS (
	SELECT e.outcome FROM booking_platform.payment_events e
	WHERE e.receiver = $1::text AND e.stripe_event_id = $2::text FOR UPDATE),
ended AS (
	UPDATE booking_platform.payment_events AS e
	SET outcome = 'ignored', reason = 'operator', processed_at = statement_timestamp()
	FROM was
	WHERE e.receiver = $1::text AND e.stripe_event_id = $2::text AND was.outcome IN ('failed', 'unmatched', 'parked')
	RETURNING true)
SELECT coalesce((SELECT outcome FROM was), ''), EXISTS (SELECT FROM ended)`

// IgnoreResult is the result of [Ledger.Ignore] for one event.
type IgnoreResult struct {
	ID string
	// Was is the outcome before; empty if there is no such event.
	Was Outcome
	// Ended reports whether the event is now Ignored.
	Ended bool
}

// Ignore ends events that need no processing: failed, unmatched and parked ones become
// Ignored with ReasonOperator, and others stay. [Receiver.Replay] can still process them
// while their payload is kept. One round trip per event, which waits for a transaction
// that has it locked.
func (l *Ledger) Ignore(ctx context.Context, ids ...string) ([]IgnoreResult, error) {
	if l.err != nil {
		return nil, l.err
	}
	var out []IgnoreResult
	for _, id := range ids {
		one := IgnoreResult{ID: id}
		if bounded(id, maxID) != "" {
			if err := l.q.QueryRowContext(ctx, ignoreSQL, l.name, id).Scan(&one.Was, &one.Ended); err != nil {
				return out, fmt.Errorf("webhook: ignore %s: %w", id, err)
			}
		}
		out = append(out, one)
	}
	return out, nil
}
