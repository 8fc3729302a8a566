package webhook

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// A row is written with the outcome the delivery is going to have, so the usual path is one statement. What it was first received
// as stays; an event that waits (failed, unmatched) has no processed_at yet.
const insertSQL = `
INSERT INTO booking_platform.payment_events AS e (stripe_event_id, type, api_version, account, livemode, object_id, stripe_session_id,
	stripe_payment_intent_id, payment_ref, outcome, last_error, payload, created_at, processed_at)
VALUES ($1::text, $2::text, $3::text, $4::text, $5::boolean, $6::text, $7::text,
	$8::text, $9::text, $10::text, $11::text, $12::text, $13::timestamptz,
	CASE WHEN $10::text IN ('failed', 'unmatched') THEN NULL ELSE statement_timestamp() END)
ON CONFLICT (stripe_event_id) DO UPDATE SET
	attempts = e.attempts + 1, outcome = EXCLUDED.outcome, last_error = EXCLUDED.last_error,
	payload = EXCLUDED.payload, processed_at = EXCLUDED.processed_at`

// No row comes back when the event is settled. While another transaction works on the same event this waits for its end.
const claimSQL = insertSQL + `
WHERE e.outcome IN ('failed', 'unmatched')
RETURNING true`

// A replay names the outcomes it takes up.
const replayClaimSQL = insertSQL + `
WHERE e.outcome = ANY (string_to_array($14::text, ','))
RETURNING true`

// Claim writes the event's ledger row, with the outcome the caller is about to bring about, in the caller's
// transaction. True: do the work in the same transaction and commit. False: somebody has done it; roll back and
// acknowledge the event. The claim of a transaction that rolls back never was.
//
// The outcome is Processed, Ignored, Unmatched or Parked; an event that was left Unmatched, or has failed, can be claimed again.
// The payload is kept with Unmatched and Parked, and dropped with the others. It takes one round trip,
// plus the wait for another transaction that has claimed the same event and not yet ended, and is safe on any number
// of replicas. In a REPEATABLE READ or SERIALIZABLE transaction it can fail with SQLSTATE 40001: run the whole
// again. A conflict with the caller's own locks can fail with 40P01: likewise.
func Claim(ctx context.Context, q Querier, ev Event, outcome Outcome) (bool, error) {
	switch outcome {
	case Processed, Ignored, Unmatched, Parked:
	default:
		return false, fmt.Errorf("webhook: claim: %q is no outcome to claim an event for", outcome)
	}
	return claim(ctx, q, ev, outcome, "", false)
}

// claim also notes why an event is ignored that there may be a handler for.
func claim(ctx context.Context, q Querier, ev Event, outcome Outcome, why Reason, keepPayload bool) (bool, error) {
	if ev.ID == "" || ev.Type == "" {
		return false, errors.New("webhook: claim: the event has no id or no type")
	}
	query, args := claimSQL, rowArgs(ev, outcome, string(why), keepPayload)
	if ev.takes != "" {
		query, args = replayClaimSQL, append(args, ev.takes)
	}
	var claimed bool
	err := q.QueryRowContext(ctx, query, args...).Scan(&claimed)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("webhook: claim: %w", err)
	}
	return claimed, nil
}

const settleSQL = `
UPDATE booking_platform.payment_events SET outcome = $2::text, payload = $3::text,
	processed_at = CASE WHEN $2::text = 'unmatched' THEN NULL ELSE processed_at END
WHERE stripe_event_id = $1::text`

// settle corrects the row this transaction has claimed as processed.
func settle(ctx context.Context, q Querier, ev Event, outcome Outcome, keepPayload bool) error {
	if _, err := q.ExecContext(ctx, settleSQL, ev.ID, string(outcome), storedPayload(ev, outcome, keepPayload)); err != nil {
		return fmt.Errorf("webhook: settle as %s: %w", outcome, err)
	}
	return nil
}

// Another delivery may have settled the event between the rollback and this record, and that must stand.
const recordFailureSQL = insertSQL + `
WHERE e.outcome IN ('failed', 'unmatched')`

// recordFailure notes a failed attempt in a statement of its own, after the attempt's transaction was rolled back.
func recordFailure(ctx context.Context, q Querier, ev Event, cause error) error {
	if _, err := q.ExecContext(ctx, recordFailureSQL, rowArgs(ev, Failed, storable(cause.Error()), true)...); err != nil {
		return fmt.Errorf("webhook: record the failure: %w", err)
	}
	return nil
}

func rowArgs(ev Event, outcome Outcome, lastError string, keepPayload bool) []any {
	return []any{ev.ID, ev.Type, ev.APIVersion, ev.Account, ev.Livemode, ev.ObjectID, ev.SessionID,
		ev.PaymentIntentID, ev.Reference, string(outcome), lastError, storedPayload(ev, outcome, keepPayload), orNull(ev.Created)}
}

// storedPayload is the body where a person or a replay will need it, else NULL: storing it with every event costs
// more than a third of the throughput.
func storedPayload(ev Event, outcome Outcome, keep bool) sql.NullString {
	keep = keep || outcome == Failed || outcome == Unmatched || outcome == Parked
	if !keep || len(ev.Payload) == 0 {
		return sql.NullString{}
	}
	return sql.NullString{String: string(ev.Payload), Valid: true}
}

// storable makes an error's text fit for a text column: bounded, without what Postgres refuses.
func storable(s string) string {
	const limit = 1000
	s = strings.ReplaceAll(s, "\x00", "")
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.ToValidUTF8(s, "")
}
