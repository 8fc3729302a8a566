package webhook

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Backlog is what the ledger has that is not done, of all replicas together. Times are UTC.
type Backlog struct {
	// Failed and Unmatched count the events that are taken up again by themselves, and Parked those that wait for a person.
	Failed, Unmatched, Parked int
	// Oldest is when the oldest of the failed and unmatched was received, zero when there is none, and Age how long ago that is, by the
	// database's clock: an alarm belongs on it.
	Oldest time.Time
	Age    time.Duration
	// LastProcessed is when an event was last processed, as far as the newest thousand that were received tell; zero when none of
	// them was.
	LastProcessed time.Time
}

// The first part reads the index of what waits alone, the second a bounded number of the newest rows: an index on processed_at would
// cost every delivery for the sake of this.
const waitingSQL = `
SELECT w.failed, w.unmatched, w.parked, w.oldest,
	COALESCE(extract(epoch FROM statement_timestamp() - w.oldest) * 1000, 0)::bigint,
	(SELECT max(n.processed_at) FROM (
		SELECT e.outcome, e.processed_at FROM booking_platform.payment_events e
		ORDER BY e.received_at DESC, e.stripe_event_id DESC LIMIT 1000) n
	WHERE n.outcome = 'processed')
FROM (
	SELECT count(*) FILTER (WHERE e.outcome = 'failed') AS failed, count(*) FILTER (WHERE e.outcome = 'unmatched') AS unmatched,
		count(*) FILTER (WHERE e.outcome = 'parked') AS parked, min(e.received_at) FILTER (WHERE e.outcome <> 'parked') AS oldest
	FROM booking_platform.payment_events e
	WHERE e.outcome IN ('failed', 'unmatched', 'parked')) w`

// Waiting reads what the ledger has that is not done, in one round trip. It reads the rows that wait and a thousand others, however many
// there are.
func Waiting(ctx context.Context, q Querier) (Backlog, error) {
	var b Backlog
	var oldest, last sql.Null[time.Time]
	var milliseconds int64
	err := q.QueryRowContext(ctx, waitingSQL).Scan(&b.Failed, &b.Unmatched, &b.Parked, &oldest, &milliseconds, &last)
	if err != nil {
		return Backlog{}, fmt.Errorf("webhook: read what waits: %w", err)
	}
	b.Oldest, b.Age, b.LastProcessed = utc(oldest), time.Duration(milliseconds)*time.Millisecond, utc(last)
	return b, nil
}
