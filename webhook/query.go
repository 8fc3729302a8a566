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

// Entry is a row of the ledger: a Stripe event and its outcome. Times are UTC.
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
	// Attempts counts deliveries without duplicates.
	Attempts  int
	LastError string
	// Created is when Stripe made the event, or zero.
	Created time.Time
	// ReceivedAt is the arrival of the first delivery that was processed.
	ReceivedAt time.Time
	// ProcessedAt is zero while the event is failed or unmatched.
	ProcessedAt time.Time
}

// ListOptions narrows [Ledger.Page] and [Ledger.List]. The zero value is the newest 50
// events.
type ListOptions struct {
	Outcome Outcome
	Reason  Reason
	Type    string
	// Reference selects events with this Event.Reference, and those of the same
	// PaymentIntents: a refund or dispute has only that.
	Reference string
	// SessionID and PaymentIntentID select events about one Checkout Session (cs_…), and
	// those that name one PaymentIntent (pi_…).
	SessionID, PaymentIntentID string
	// Since (inclusive) and Until (exclusive) bound the time of receipt.
	Since, Until time.Time
	// Before is the previous page's Next, or the ID of an event in the ledger.
	Before string
	// Limit is 50 by default, and 500 at most.
	Limit int
}

// Page is a part of a list of events.
type Page struct {
	// Entries may be fewer than ListOptions.Limit, or none, although Next is not "".
	Entries []Entry
	// Next is the next page's ListOptions.Before; "" on the last.
	Next string
}

const entryColumns = `e.stripe_event_id, e.type, e.api_version, e.account, e.livemode, e.object_id, e.stripe_session_id,
	e.stripe_payment_intent_id, e.payment_ref, e.outcome, e.reason, e.attempts, e.last_error, e.created_at,
	e.received_at, e.processed_at`

// maxRowsPerPage bounds what one page reads.
const maxRowsPerPage = 10_000

// The row comparison can use the index on (received_at, stripe_event_id). The last row
// that may be read is always returned, so that the next page knows where to begin.
const pageSQL = `
SELECT ` + entryColumns + `, e.nth, e.fits
FROM (
	SELECT ` + entryColumns + `, row_number() OVER (ORDER BY e.received_at DESC, e.stripe_event_id DESC) AS nth,
		($1::text = '' OR e.outcome = $1::text) AND ($8::text = '' OR e.reason = $8::text)
			AND ($2::text = '' OR e.type = $2::text) AS fits
	FROM (
		SELECT ` + entryColumns + `
		FROM booking_platform.payment_events e
		WHERE e.receiver = $7::text%s
			AND (e.received_at, e.stripe_event_id) < (CASE WHEN $3::text = '' THEN 'infinity'::timestamptz ELSE
				(SELECT b.received_at FROM booking_platform.payment_events b
					WHERE b.receiver = $7::text AND b.stripe_event_id = $3::text) END, $3::text)
			AND e.received_at >= COALESCE($5::timestamptz, '-infinity'::timestamptz)
			AND e.received_at < COALESCE($6::timestamptz, 'infinity'::timestamptz)
		ORDER BY e.received_at DESC, e.stripe_event_id DESC
		LIMIT %d) e) e
WHERE e.fits OR e.nth = %[2]d
ORDER BY e.received_at DESC, e.stripe_event_id DESC
LIMIT $4::integer`

// Each repeats the condition of its partial index.
const (
	ofReferenceSQL = `
			AND (e.payment_ref <> '' AND e.payment_ref = $%[1]d::text
				OR e.stripe_payment_intent_id <> '' AND e.stripe_payment_intent_id = ANY (ARRAY(
					SELECT o.stripe_payment_intent_id FROM booking_platform.payment_events o
					WHERE o.receiver = $7::text AND o.payment_ref <> '' AND o.payment_ref = $%[1]d::text
						AND o.stripe_payment_intent_id <> '')))`
	ofSessionSQL = `
			AND e.stripe_session_id <> '' AND e.stripe_session_id = $%d::text`
	ofIntentSQL = `
			AND e.stripe_payment_intent_id <> '' AND e.stripe_payment_intent_id = $%d::text`
)

// query applies filters with an index where rows are read: the three above, and the
// outcomes of open events.
func (o ListOptions) query(receiver string) (string, []any) {
	args := []any{string(o.Outcome), o.Type, o.Before, o.limit() + 1, orNull(o.Since), orNull(o.Until), receiver,
		string(o.Reason)}
	var indexed strings.Builder
	for _, filter := range []struct{ sql, value string }{
		{ofReferenceSQL, o.Reference}, {ofSessionSQL, o.SessionID}, {ofIntentSQL, o.PaymentIntentID},
	} {
		if filter.value != "" {
			args = append(args, filter.value)
			fmt.Fprintf(&indexed, filter.sql, len(args))
		}
	}
	switch o.Outcome {
	case Failed, Unmatched, Parked:
		indexed.WriteString(" AND e.outcome = '" + string(o.Outcome) + "'")
	}
	return fmt.Sprintf(pageSQL, indexed.String(), maxRowsPerPage), args
}

func (o ListOptions) limit() int {
	if o.Limit <= 0 {
		return 50
	}
	return min(o.Limit, 500)
}

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

type pageRow struct {
	entryRow
	Nth  int  `db:"nth"`
	Fits bool `db:"fits"`
}

// List is [Ledger.Page] without Page.Next, for the newest events.
func (l *Ledger) List(ctx context.Context, opts ListOptions) ([]Entry, error) {
	page, err := l.Page(ctx, opts)
	return page.Entries, err
}

// Page returns events without their payloads, newest first. It reads at most 10,000 rows:
// Reference, SessionID, PaymentIntentID, Since, Until, and an Outcome of Failed,
// Unmatched or Parked are looked up, and the other filters are applied row by row. With
// few matches a page is short, and Next continues. One round trip.
//
// The columns receiver, stripe_event_id, type, outcome, reason, payment_ref (the
// reference), stripe_session_id, stripe_payment_intent_id, received_at and processed_at
// of booking_platform.payment_events keep their names and meanings, for queries of your
// own.
func (l *Ledger) Page(ctx context.Context, opts ListOptions) (Page, error) {
	if l.err != nil {
		return Page{}, l.err
	}
	query, args := opts.query(l.name)
	rows, err := l.q.QueryContext(ctx, query, args...)
	if err != nil {
		return Page{}, fmt.Errorf("webhook: list: %w", err)
	}
	defer rows.Close()
	var page Page
	for scan := (&sqlx.Rows{Rows: rows, Mapper: mapper}); scan.Next(); {
		var row pageRow
		if err := scan.StructScan(&row); err != nil {
			return Page{}, fmt.Errorf("webhook: list: %w", err)
		}
		if row.Fits && len(page.Entries) == opts.limit() {
			page.Next = page.Entries[len(page.Entries)-1].ID
			break
		}
		if row.Fits {
			page.Entries = append(page.Entries, row.entry())
		}
		if row.Nth == maxRowsPerPage {
			page.Next = row.ID
		}
	}
	if err := rows.Err(); err != nil {
		return Page{}, fmt.Errorf("webhook: list: %w", err)
	}
	return page, nil
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
	// Payload is the signed body, or nil if not kept. It contains customers' data.
	Payload []byte
}

const findSQL = `
SELECT ` + entryColumns + `, e.payload
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

// Backlog counts a ledger's events that are not settled. Times are UTC.
type Backlog struct {
	// Failed and Unmatched are retried automatically; Parked are for an operator.
	Failed, Unmatched, Parked int
	// UnmatchedSessions are about a Checkout Session. Others look the same as events of
	// another product on the Stripe account and end as Ignored: do not alert on them.
	UnmatchedSessions int
	// Oldest is when the oldest failed event, or unmatched event about a Checkout
	// Session, was received, or zero. Age is since then by the database's clock. Alert on
	// Age.
	Oldest time.Time
	Age    time.Duration
	// LastProcessed is of the newest thousand events, or zero.
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

// Backlog is of all replicas. One round trip.
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
	// Ended: the event is now Ignored.
	Ended bool
}

// Ignore ends events that need no processing: failed, unmatched and parked ones become
// Ignored with ReasonOperator, others stay. [Receiver.Replay] can still process them
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
