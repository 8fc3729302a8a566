package webhook

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

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
