package webhook

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// A row is inserted with the outcome that the delivery is going to have, so the usual
// path is one statement. processed_at is NULL while an event is failed or unmatched.
const insertSQL = `
INSERT INTO booking_platform.payment_events AS e (receiver, stripe_event_id, type, api_version, account, livemode, object_id,
	stripe_session_id, stripe_payment_intent_id, payment_ref, outcome, reason, last_error, payload, created_at, processed_at)
VALUES ($1::text, $2::text, $3::text, $4::text, $5::text, $6::boolean, $7::text,
	$8::text, $9::text, $10::text, $11::text, $12::text, $13::text, $14::text, $15::timestamptz,
	CASE WHEN $11::text IN ('failed', 'unmatched') THEN NULL ELSE statement_timestamp() END)
ON CONFLICT (receiver, stripe_event_id) `

const updateSQL = insertSQL + `DO UPDATE SET
	attempts = e.attempts + 1, outcome = EXCLUDED.outcome, reason = EXCLUDED.reason, last_error = EXCLUDED.last_error,
	payload = EXCLUDED.payload, processed_at = EXCLUDED.processed_at`

// skippedSQL is true of a row that a replica without a handler for it has recorded: it
// is settled for Stripe, not for a replica that has a handler.
const skippedSQL = `e.outcome = 'ignored' AND e.reason IN ('no_handler', 'test_mode', 'live_mode', 'other_account')`

// openSQL is true of a row that a delivery to a receiver with a handler takes up.
const openSQL = `(e.outcome IN ('failed', 'unmatched') OR ` + skippedSQL + `)`

// overdueSQL tells whether an event has waited for longer than an unmatched one may.
const overdueSQL = `e.received_at < statement_timestamp() - $16::bigint * interval '1 second'`

// No row comes back when the event is settled. While another transaction works on the
// same event the statement waits for its end.
const claimSQL = updateSQL + `
WHERE ` + openSQL + `
RETURNING ` + overdueSQL

// A replay names the outcomes it takes up.
const replayClaimSQL = updateSQL + `
WHERE e.outcome = ANY (string_to_array($17::text, ','))
RETURNING ` + overdueSQL

// Claim writes the event's row in the ledger of the receiver of that name, with the
// outcome that the caller is about to bring about, in the caller's transaction. Empty is
// DefaultName. True: do the work in the same transaction and commit. False: the event is
// settled; roll back and acknowledge it. A claim is undone when its transaction rolls
// back.
//
// The outcome is Processed, Ignored (recorded with ReasonNotOurs), Unmatched or Parked.
// An event that is failed or unmatched can be claimed again, and so can one that was
// ignored because a replica had no handler for it. The payload is kept with Ignored,
// Unmatched and Parked.
//
// tx must be a transaction: a pool (*sql.DB, *sqlx.DB) and a connection on which none has
// begun are refused with [ErrNoTransaction]. Claim takes one round trip (two more with a
// *sql.Conn), plus the wait for another transaction that has claimed the same event, and
// is safe on any number of replicas. In a REPEATABLE READ or SERIALIZABLE transaction it
// can fail with SQLSTATE 40001, and for the caller's own locks with 40P01: run the whole
// again.
func Claim(ctx context.Context, tx Querier, name string, ev Event, outcome Outcome) (bool, error) {
	name, err := cleanName(name)
	if err != nil {
		return false, err
	}
	why := Reason("")
	switch outcome {
	case Processed, Unmatched, Parked:
	case Ignored:
		why = ReasonNotOurs
	default:
		return false, fmt.Errorf("webhook: claim: %q is no outcome to claim an event for", outcome)
	}
	if err := requireTransaction(ctx, tx); err != nil {
		return false, fmt.Errorf("webhook: claim: %w", err)
	}
	l := ledger{name: name}
	claimed, _, err := l.claim(ctx, tx, ev, verdict{outcome, why})
	return claimed, err
}

// ledger is the rows of one receiver name.
type ledger struct {
	name string
	// keepPayload keeps the payload of processed events too.
	keepPayload bool
	// unmatchedFor is in seconds: see Options.UnmatchedFor.
	unmatchedFor int64
}

// claim writes the row; overdue says that the event has waited for longer than
// unmatchedFor.
func (l ledger) claim(ctx context.Context, q Querier, ev Event, v verdict) (claimed, overdue bool, err error) {
	if ev.ID == "" || ev.Type == "" {
		return false, false, errors.New("webhook: claim: the event has no id or no type")
	}
	query, args := claimSQL, append(l.rowArgs(ev, v, ""), l.unmatchedFor)
	if ev.takes != "" {
		query, args = replayClaimSQL, append(args, ev.takes)
	}
	err = q.QueryRowContext(ctx, query, args...).Scan(&overdue)
	if errors.Is(err, sql.ErrNoRows) {
		return false, false, nil
	}
	if err != nil {
		return false, false, fmt.Errorf("webhook: claim: %w", err)
	}
	return true, overdue, nil
}

const settleSQL = `
UPDATE booking_platform.payment_events SET outcome = $3::text, reason = $4::text, payload = $5::text,
	processed_at = CASE WHEN $3::text = 'unmatched' THEN NULL ELSE processed_at END
WHERE receiver = $1::text AND stripe_event_id = $2::text`

// settle corrects the row that this transaction has claimed as processed.
func (l ledger) settle(ctx context.Context, q Querier, ev Event, v verdict) error {
	_, err := q.ExecContext(ctx, settleSQL, l.name, ev.ID, string(v.outcome), string(v.reason),
		l.storedPayload(ev, v.outcome))
	if err != nil {
		return fmt.Errorf("webhook: settle as %s: %w", v.outcome, err)
	}
	return nil
}

const passOverSQL = insertSQL + `DO NOTHING`

const outcomeSQL = `
SELECT e.outcome FROM booking_platform.payment_events e WHERE e.receiver = $1::text AND e.stripe_event_id = $2::text`

// passOver records an event that this replica has no handler for, where no replica has
// recorded it yet; a row that is there stays as it is. The outcome is Duplicate where the
// event is settled, else Ignored.
func (l ledger) passOver(ctx context.Context, q Querier, ev Event, why Reason) (Outcome, error) {
	res, err := q.ExecContext(ctx, passOverSQL, l.rowArgs(ev, verdict{Ignored, why}, "")...)
	if err != nil {
		return "", fmt.Errorf("webhook: record an ignored event: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return Ignored, err
	}
	var was Outcome
	err = q.QueryRowContext(ctx, outcomeSQL, l.name, ev.ID).Scan(&was)
	switch {
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return "", fmt.Errorf("webhook: read an event's outcome: %w", err)
	case was == Processed, was == Ignored, was == Parked:
		return Duplicate, nil
	}
	return Ignored, nil
}

// Another delivery may have settled the event between the rollback and this record, and
// that must stand.
const recordFailureSQL = updateSQL + `
WHERE ` + openSQL

// recordFailure records a failed attempt in a statement of its own, after the attempt's
// transaction was rolled back.
func (l ledger) recordFailure(ctx context.Context, q Querier, ev Event, cause error) error {
	args := l.rowArgs(ev, verdict{outcome: Failed}, storable(cause.Error()))
	if _, err := q.ExecContext(ctx, recordFailureSQL, args...); err != nil {
		return fmt.Errorf("webhook: record the failure: %w", err)
	}
	return nil
}

func (l ledger) rowArgs(ev Event, v verdict, lastError string) []any {
	return []any{l.name, ev.ID, ev.Type, ev.APIVersion, ev.Account, ev.Livemode, ev.ObjectID, ev.SessionID,
		ev.PaymentIntentID,
		ev.Reference, string(v.outcome), string(v.reason), lastError, l.storedPayload(ev, v.outcome),
		orNull(ev.Created)}
}

// storedPayload is the body where a person, a replay or another replica may need it, else
// NULL: storing it with every event costs more than a third of the throughput.
func (l ledger) storedPayload(ev Event, outcome Outcome) sql.NullString {
	if outcome == Processed && !l.keepPayload || len(ev.Payload) == 0 {
		return sql.NullString{}
	}
	return sql.NullString{String: string(ev.Payload), Valid: true}
}

// storable makes an error's text fit for a text column: bounded, without what Postgres
// refuses.
func storable(s string) string {
	const limit = 1000
	s = strings.ReplaceAll(s, "\x00", "")
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.ToValidUTF8(s, "")
}
