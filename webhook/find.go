package webhook

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"
)

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
