package webhook

import (
	"context"
	"database/sql"
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
