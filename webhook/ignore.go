package webhook

import (
	"context"
	"fmt"
)

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
