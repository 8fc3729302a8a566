package webhook

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// DefaultName is the default of Options.Name.
const DefaultName = "default"

var (
	errName = errors.New("webhook: the name of a receiver must be 1 to 63 of a-z, 0-9, '.', '_' and '-', " +
		"and begin with a letter or digit")
	nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)
)

// Upper case is refused, so that two spellings never mean two ledgers.
func cleanName(name string) (string, error) {
	if name == "" {
		return DefaultName, nil
	}
	if !nameForm.MatchString(name) {
		return "", errName
	}
	return name, nil
}

// Ledger is the rows of booking_platform.payment_events of one receiver name. [NewLedger]
// needs no signing secret. Safe for concurrent use if its Querier is.
type Ledger struct {
	q            Querier
	name         string
	err          error // Of the name.
	keepPayload  bool
	unmatchedFor int64
}

// NewLedger returns a receiver's ledger, read through q; "" is [DefaultName]. With an
// invalid name, each method returns an error.
func NewLedger(q Querier, name string) *Ledger {
	name, err := cleanName(name)
	return &Ledger{q: q, name: name, err: err}
}

// A row is inserted as processed, so the usual path is one statement. processed_at is
// NULL while an event is failed or unmatched.
const insertSQL = `
INSERT INTO booking_platform.payment_events AS e (receiver, stripe_event_id, type, api_version, account, livemode,
	object_id, stripe_session_id, stripe_payment_intent_id, payment_ref, outcome, reason, last_error, payload,
	created_at, processed_at)
VALUES ($1::text, $2::text, $3::text, $4::text, $5::text, $6::boolean,
	$7::text, $8::text, $9::text, $10::text, $11::text, $12::text, $13::text, $14::text,
	$15::timestamptz, CASE WHEN $11::text IN ('failed', 'unmatched') THEN NULL ELSE statement_timestamp() END)
ON CONFLICT (receiver, stripe_event_id) `

const updateSQL = insertSQL + `DO UPDATE SET
	attempts = e.attempts + 1, outcome = EXCLUDED.outcome, reason = EXCLUDED.reason, last_error = EXCLUDED.last_error,
	payload = EXCLUDED.payload, processed_at = EXCLUDED.processed_at`

// skippedSQL: a replica without a handler recorded the row, and one with a handler may
// claim it.
const skippedSQL = `e.outcome = 'ignored' AND e.reason IN ('no_handler', 'test_mode', 'live_mode', 'other_account')`

// openSQL: a delivery may claim the row.
const openSQL = `(e.outcome IN ('failed', 'unmatched') OR ` + skippedSQL + `)`

// overdueSQL: the event is older than UnmatchedFor.
const overdueSQL = `e.received_at < statement_timestamp() - $16::bigint * interval '1 second'`

// No row: the event is settled. The statement waits for a concurrent claim.
const claimSQL = updateSQL + `
WHERE ` + openSQL + `
RETURNING ` + overdueSQL + `, pg_current_xact_id()::text`

const replayClaimSQL = updateSQL + `
WHERE e.outcome = ANY (string_to_array($17::text, ','))
RETURNING ` + overdueSQL + `, pg_current_xact_id()::text`

// Claim writes the event's row, in the caller's transaction tx, with the outcome that the
// caller is about to bring about. True: do the work in tx and commit. False: the event is
// settled; roll back and acknowledge it. A rollback undoes the claim.
//
// The outcome is Processed, Ignored (recorded with ReasonNotOurs), Unmatched or Parked;
// all but Processed keep the payload. An event can be claimed again if it failed, is
// unmatched, or was ignored because a replica had no handler.
//
// A pool, and a connection without a transaction, are refused with [ErrNoTransaction].
// One round trip (three with a *sql.Conn), and the wait for a concurrent claim. Safe on
// every replica at once. Run the transaction again after SQLSTATE 40001 (above READ
// COMMITTED) or 40P01 (the caller's own locks).
func (l *Ledger) Claim(ctx context.Context, tx Querier, ev Event, outcome Outcome) (bool, error) {
	if l.err != nil {
		return false, l.err
	}
	why := Reason("")
	switch outcome {
	case Processed, Unmatched, Parked:
	case Ignored:
		why = ReasonNotOurs
	default:
		return false, fmt.Errorf("webhook: claim: an event cannot be claimed as %q", outcome)
	}
	if err := pg.RequireTransaction(ctx, tx); err != nil {
		return false, fmt.Errorf("webhook: claim: %w", err)
	}
	_, _, err := l.claim(ctx, tx, ev, result{outcome, why})
	if errors.Is(err, errSettled) {
		return false, nil
	}
	return err == nil, err
}

// errSettled: the event cannot be claimed.
var errSettled = errors.New("webhook: the event is settled")

// claim returns the transaction's id, and whether the event is older than UnmatchedFor.
func (l *Ledger) claim(ctx context.Context, q Querier, ev Event, v result) (xid string, overdue bool, err error) {
	if ev.ID == "" || ev.Type == "" {
		return "", false, errors.New("webhook: claim: the event has no id or no type")
	}
	query, args := claimSQL, append(l.rowArgs(ev, v, ""), l.unmatchedFor)
	if ev.claimable != "" {
		query, args = replayClaimSQL, append(args, ev.claimable)
	}
	err = q.QueryRowContext(ctx, query, args...).Scan(&overdue, &xid)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, errSettled
	}
	if err != nil {
		return "", false, fmt.Errorf("webhook: claim: %w", err)
	}
	return xid, overdue, nil
}

const parkSQL = `
UPDATE booking_platform.payment_events SET outcome = 'parked', payload = $3::text
WHERE receiver = $1::text AND stripe_event_id = $2::text`

// park corrects a row that was claimed as processed.
func (l *Ledger) park(ctx context.Context, q Querier, ev Event) error {
	if _, err := q.ExecContext(ctx, parkSQL, l.name, ev.ID, l.storedPayload(ev, Parked)); err != nil {
		return fmt.Errorf("webhook: park: %w", err)
	}
	return nil
}

const insertIgnoredSQL = insertSQL + `DO NOTHING`

const outcomeSQL = `
SELECT e.outcome FROM booking_platform.payment_events e WHERE e.receiver = $1::text AND e.stripe_event_id = $2::text`

// recordIgnored is for an event without a handler here and without a row. It returns
// Duplicate if the event is settled, else Ignored.
func (l *Ledger) recordIgnored(ctx context.Context, q Querier, ev Event, why Reason) (Outcome, error) {
	res, err := q.ExecContext(ctx, insertIgnoredSQL, l.rowArgs(ev, result{Ignored, why}, "")...)
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

const recordFailureSQL = updateSQL + `
WHERE ` + openSQL

func (l *Ledger) recordFailure(ctx context.Context, q Querier, ev Event, cause error) error {
	args := l.rowArgs(ev, result{outcome: Failed}, storable(cause.Error()))
	if _, err := q.ExecContext(ctx, recordFailureSQL, args...); err != nil {
		return fmt.Errorf("webhook: record the failure: %w", err)
	}
	return nil
}

func (l *Ledger) rowArgs(ev Event, v result, lastError string) []any {
	return []any{l.name, ev.ID, ev.Type, ev.APIVersion, ev.Account, ev.Livemode,
		ev.ObjectID, ev.SessionID, ev.PaymentIntentID, ev.Reference, string(v.outcome), string(v.reason), lastError,
		l.storedPayload(ev, v.outcome), orNull(ev.Created)}
}

// NULL for processed events by default: storing all payloads costs more than a third of
// the throughput.
func (l *Ledger) storedPayload(ev Event, outcome Outcome) sql.NullString {
	if outcome == Processed && !l.keepPayload || len(ev.Payload) == 0 {
		return sql.NullString{}
	}
	return sql.NullString{String: string(ev.Payload), Valid: true}
}

func storable(s string) string {
	const limit = 1000
	s = strings.ReplaceAll(s, "\x00", "")
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.ToValidUTF8(s, "")
}
