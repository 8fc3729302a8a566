package webhook

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// Payloads can be large.
const redactBatch = 100

// The index payment_events_waiting has the events that are not settled.
const oldPayloadsSQL = `
SELECT e.stripe_event_id, e.payload FROM booking_platform.payment_events e
WHERE e.receiver = $1::text AND e.outcome IN ('failed', 'parked')
	AND e.payload IS NOT NULL AND NOT starts_with(e.payload, '` + redactedMark + `')
	AND e.received_at < statement_timestamp() - $2::bigint * interval '1 second'
ORDER BY e.received_at
LIMIT $3::integer
FOR UPDATE SKIP LOCKED`

const redactSQL = `
UPDATE booking_platform.payment_events e SET payload = t.payload, last_error = ''
FROM jsonb_to_recordset($2::jsonb) AS t(id text, payload text)
WHERE e.receiver = $1::text AND e.stripe_event_id = t.id`

type redactedRow struct {
	ID      string `json:"id"`
	Payload string `json:"payload"`
}

// redactOld is for events that have not been settled for Options.PersonalDataFor.
func (r *Receiver) redactOld(ctx context.Context) (total int, err error) {
	if r.opts.PersonalDataFor == 0 {
		return 0, nil
	}
	for began := time.Now(); ; {
		n := 0
		err := pg.InTx(ctx, r.db.DB, func(tx *sql.Tx) error {
			batch, err := r.oldPayloads(ctx, tx)
			if n = len(batch); err != nil || n == 0 {
				return err
			}
			// Strings cannot fail.
			text, _ := json.Marshal(batch)
			_, err = tx.ExecContext(ctx, redactSQL, r.name, string(text))
			return err
		})
		if err != nil {
			return total, fmt.Errorf("webhook: redact old payloads: %w", err)
		}
		if total += n; n < redactBatch || time.Since(began) > deleteFor {
			return total, nil
		}
	}
}

func (r *Receiver) oldPayloads(ctx context.Context, tx *sql.Tx) (batch []redactedRow, err error) {
	rows, err := tx.QueryContext(ctx, oldPayloadsSQL, r.name, seconds(r.opts.PersonalDataFor), redactBatch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var row redactedRow
		if err := rows.Scan(&row.ID, &row.Payload); err != nil {
			return nil, err
		}
		row.Payload = string(Redact([]byte(row.Payload)))
		batch = append(batch, row)
	}
	return batch, rows.Err()
}

// eraseLate is for the event that was just recorded, if Options.Erased says so. It makes
// no query for an event whose payload is not stored.
func (r *Receiver) eraseLate(ctx context.Context, q Querier, ev Event, outcome Outcome) error {
	stored := r.ledger.storedPayload(ev, outcome)
	if r.opts.Erased == nil || !stored.Valid {
		return nil
	}
	erased, err := r.opts.Erased(ctx, q, ev)
	if err != nil {
		return fmt.Errorf("webhook: ask whether a person was erased: %w", err)
	}
	if !erased {
		return nil
	}
	var payload *string
	if outcome != Processed {
		text := string(Redact(ev.Payload))
		payload = &text
	}
	if _, err := q.ExecContext(ctx, eraseEventSQL, r.name, ev.ID, stored.String, payload); err != nil {
		return fmt.Errorf("webhook: erase a person from %s: %w", ev.ID, err)
	}
	return nil
}
