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

// Entry is a row of the ledger: one Stripe event and what became of it. Times are UTC.
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
	// Reason says why the event was Ignored; else empty.
	Reason Reason
	// Attempts counts the deliveries that were worked on; duplicates are not.
	Attempts int
	// LastError is why the last attempt failed; else empty.
	LastError string
	// Created is when Stripe made the event, zero when unknown.
	Created time.Time
	// ReceivedAt is the arrival of the event's first delivery that was worked on.
	ReceivedAt time.Time
	// ProcessedAt is when it was settled; zero while it is failed or unmatched.
	ProcessedAt time.Time
}

// ListOptions narrows [List]. The zero value is the newest 50 events.
type ListOptions struct {
	// Outcome, Reason and Type keep only events that have them.
	Outcome Outcome
	Reason  Reason
	Type    string
	// Since and Until keep only events received at or after the one and before the other;
	// zero is no bound.
	Since, Until time.Time
	// Before is an event's id: only events received before it are listed. Give the last
	// ID of one page to get the next. An id that is not in the ledger has nothing before
	// it.
	Before string
	// Limit is how many at most: 0 is 50, and more than 500 is 500.
	Limit int
}

// The row comparison is written so that the index on (received_at, stripe_event_id)
// serves it, however deep the page.
const listSQL = `
SELECT e.stripe_event_id, e.type, e.api_version, e.account, e.livemode, e.object_id, e.stripe_session_id, e.stripe_payment_intent_id,
	e.payment_ref, e.outcome, e.reason, e.attempts, e.last_error, e.created_at, e.received_at, e.processed_at
FROM booking_platform.payment_events e
WHERE e.receiver = $7::text
	AND ($1::text = '' OR e.outcome = $1::text)
	AND ($8::text = '' OR e.reason = $8::text)
	AND ($2::text = '' OR e.type = $2::text)
	AND (e.received_at, e.stripe_event_id) < (CASE WHEN $3::text = '' THEN 'infinity'::timestamptz ELSE
		(SELECT b.received_at FROM booking_platform.payment_events b WHERE b.receiver = $7::text AND b.stripe_event_id = $3::text) END, $3::text)
	AND e.received_at >= COALESCE($5::timestamptz, '-infinity'::timestamptz) AND e.received_at < COALESCE($6::timestamptz, 'infinity'::timestamptz)
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

// Our own mapper: a caller's, and sqlx.NameMapper, are the caller's to change.
var mapper = reflectx.NewMapperFunc("db", strings.ToLower)

// List reads the ledger of the receiver of that name, newest first, in one round trip.
// Empty is DefaultName. Payloads are left out: they hold customers' data, and [Find]
// reads one.
func List(ctx context.Context, q Querier, name string, opts ListOptions) ([]Entry, error) {
	name, err := cleanName(name)
	if err != nil {
		return nil, err
	}
	limit := opts.Limit
	if limit <= 0 {
		limit = 50
	}
	rows, err := q.QueryContext(ctx, listSQL, string(opts.Outcome), opts.Type, opts.Before, min(limit, 500),
		orNull(opts.Since), orNull(opts.Until), name, string(opts.Reason))
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

// List reads this receiver's ledger: see [List].
func (r *Receiver) List(ctx context.Context, opts ListOptions) ([]Entry, error) {
	return List(ctx, r.db, r.name, opts)
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

// ErrNotFound is returned by [Find] for an event that is not in the ledger.
var ErrNotFound = errors.New("webhook: no such event")

// Record is a row of the ledger with the event's body.
type Record struct {
	Entry
	// Payload is the body as it was signed, or nil where it is not kept. It holds
	// customers' data.
	Payload []byte
}

const findSQL = `
SELECT e.stripe_event_id, e.type, e.api_version, e.account, e.livemode, e.object_id, e.stripe_session_id, e.stripe_payment_intent_id,
	e.payment_ref, e.outcome, e.reason, e.attempts, e.last_error, e.created_at, e.received_at, e.processed_at, e.payload
FROM booking_platform.payment_events e
WHERE e.receiver = $1::text AND e.stripe_event_id = $2::text`

type recordRow struct {
	entryRow
	Payload sql.NullString `db:"payload"`
}

// Find reads one event of the receiver of that name, with its payload, in one round trip.
// Empty is DefaultName. The error is [ErrNotFound] when that receiver's ledger has no
// such event.
func Find(ctx context.Context, q Querier, name, id string) (Record, error) {
	name, err := cleanName(name)
	if err != nil {
		return Record{}, err
	}
	// What was received has no such id, and Postgres would refuse it.
	if bounded(id, maxID) == "" {
		return Record{}, ErrNotFound
	}
	rows, err := q.QueryContext(ctx, findSQL, name, id)
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

// Find reads one event of this receiver's: see [Find].
func (r *Receiver) Find(ctx context.Context, id string) (Record, error) {
	return Find(ctx, r.db, r.name, id)
}

// Backlog is what the ledger of one receiver name has that can still change, of all
// replicas together. Times are UTC.
type Backlog struct {
	// Failed and Unmatched count the events that are tried again by themselves, and
	// Parked those that wait for a person.
	Failed, Unmatched, Parked int
	// UnmatchedSessions counts the unmatched events that are about a Checkout Session.
	// The other unmatched ones name only a PaymentIntent, a charge, a refund or a
	// dispute: those of another product on the same Stripe account look the same, so no
	// alarm should count them; they end as Ignored after Options.UnmatchedFor.
	UnmatchedSessions int
	// Oldest is when the oldest of the failed and of the unmatched about a Checkout
	// Session was received, zero when there is none, and Age how long ago that is, by the
	// database's clock. An alarm belongs on Age.
	Oldest time.Time
	Age    time.Duration
	// LastProcessed is when an event was last processed, as far as the newest thousand
	// that were received tell; zero when none of them was.
	LastProcessed time.Time
}

// The first part reads the index of what waits alone, the second a bounded number of the
// newest rows: an index on processed_at would cost every delivery for the sake of this.
const waitingSQL = `
SELECT w.failed, w.unmatched, w.parked, w.sessions, w.oldest,
	COALESCE(extract(epoch FROM statement_timestamp() - w.oldest) * 1000, 0)::bigint,
	(SELECT max(n.processed_at) FROM (
		SELECT e.outcome, e.processed_at FROM booking_platform.payment_events e
		WHERE e.receiver = $1::text
		ORDER BY e.received_at DESC, e.stripe_event_id DESC LIMIT 1000) n
	WHERE n.outcome = 'processed')
FROM (
	SELECT count(*) FILTER (WHERE e.outcome = 'failed') AS failed, count(*) FILTER (WHERE e.outcome = 'unmatched') AS unmatched,
		count(*) FILTER (WHERE e.outcome = 'parked') AS parked,
		count(*) FILTER (WHERE e.outcome = 'unmatched' AND e.stripe_session_id <> '') AS sessions,
		min(e.received_at) FILTER (WHERE e.outcome = 'failed' OR e.outcome = 'unmatched' AND e.stripe_session_id <> '') AS oldest
	FROM booking_platform.payment_events e
	WHERE e.receiver = $1::text AND e.outcome IN ('failed', 'unmatched', 'parked')) w`

// Waiting reads what the ledger of the receiver of that name has that is not done, in one
// round trip. Empty is DefaultName. It reads the rows that wait and a thousand others,
// however many there are.
func Waiting(ctx context.Context, q Querier, name string) (Backlog, error) {
	name, err := cleanName(name)
	if err != nil {
		return Backlog{}, err
	}
	var b Backlog
	var oldest, last sql.Null[time.Time]
	var milliseconds int64
	err = q.QueryRowContext(ctx, waitingSQL, name).
		Scan(&b.Failed, &b.Unmatched, &b.Parked, &b.UnmatchedSessions, &oldest, &milliseconds, &last)
	if err != nil {
		return Backlog{}, fmt.Errorf("webhook: read what waits: %w", err)
	}
	b.Oldest, b.Age, b.LastProcessed = utc(oldest), time.Duration(milliseconds)*time.Millisecond, utc(last)
	return b, nil
}

// Waiting reads what this receiver's ledger has that is not done: see [Waiting].
func (r *Receiver) Waiting(ctx context.Context) (Backlog, error) { return Waiting(ctx, r.db, r.name) }

// The outcome before is read under the row's lock, so that it is the one that was ended.
const ignoreSQL = `
WITH was AS (
	SELECT e.outcome FROM booking_platform.payment_events e
	WHERE e.receiver = $1::text AND e.stripe_event_id = $2::text FOR UPDATE),
ended AS (
	UPDATE booking_platform.payment_events AS e SET outcome = 'ignored', reason = 'operator', processed_at = statement_timestamp()
	FROM was WHERE e.receiver = $1::text AND e.stripe_event_id = $2::text AND was.outcome IN ('failed', 'unmatched', 'parked')
	RETURNING true)
SELECT coalesce((SELECT outcome FROM was), ''), EXISTS (SELECT FROM ended)`

// IgnoredByOperator is what [Ignore] did with one event.
type IgnoredByOperator struct {
	ID string
	// Was is its outcome before; empty where that receiver's ledger has no such event.
	Was Outcome
	// Ended tells whether the event was failed, unmatched or parked, and is Ignored now.
	Ended bool
}

// Ignore ends events of the receiver of that name that a person has decided to do nothing
// about; empty is DefaultName. An event that is failed, unmatched or parked becomes
// Ignored, with ReasonOperator: it is neither tried again nor counted as waiting, and its
// payload is dropped with the others. [Receiver.Replay] takes it up while it has one,
// where Ignored is named. Other events stay as they are. Ignore takes one round trip for
// each event, waits for a transaction that works on it, and is safe beside deliveries and
// steps. It returns what it came to.
func Ignore(ctx context.Context, q Querier, name string, ids ...string) ([]IgnoredByOperator, error) {
	name, err := cleanName(name)
	if err != nil {
		return nil, err
	}
	var out []IgnoredByOperator
	for _, id := range ids {
		one := IgnoredByOperator{ID: id}
		// No event has such an id, and Postgres would refuse it.
		if bounded(id, maxID) != "" {
			if err := q.QueryRowContext(ctx, ignoreSQL, name, id).Scan(&one.Was, &one.Ended); err != nil {
				return out, fmt.Errorf("webhook: ignore %s: %w", id, err)
			}
		}
		out = append(out, one)
	}
	return out, nil
}
