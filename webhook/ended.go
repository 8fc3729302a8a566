package webhook

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// A row that another transaction has changed since has another xmin.
const parkCommittedSQL = `
UPDATE booking_platform.payment_events AS e SET outcome = 'parked', reason = '', last_error = $3::text,
	payload = t.payload, processed_at = statement_timestamp()
FROM jsonb_to_recordset($1::jsonb) AS t(id text, payload text)
WHERE e.receiver = $2::text AND e.stripe_event_id = t.id AND e.xmin = ($4::text)::xid8::xid`

const reopenCommittedSQL = `
DELETE FROM booking_platform.payment_events e
WHERE e.receiver = $2::text AND e.stripe_event_id IN (SELECT t.id FROM jsonb_to_recordset($1::jsonb) AS t(id text))
	AND e.xmin = ($3::text)::xid8::xid`

// parkCommitted repairs the ledger after a handler that may have committed: it parks the
// events whose changes may be incomplete, and takes back the claims of those that the
// handler left open. It returns ErrTransactionEnded if the handler has committed, and nil
// if it has not.
func (r *Receiver) parkCommitted(ctx context.Context, w *pg.Watch, parked, open []Event) error {
	// The attempt's time may have run out.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.recordTimeout())
	defer cancel()
	committed := false
	err := pg.InTx(ctx, r.db.DB, func(tx *sql.Tx) error {
		for _, step := range []struct {
			query string
			args  []any
		}{
			{parkCommittedSQL, []any{r.repairRows(parked), r.name, ErrTransactionEnded.Error(), w.XID}},
			{reopenCommittedSQL, []any{r.repairRows(open), r.name, w.XID}},
		} {
			res, err := tx.ExecContext(ctx, step.query, step.args...)
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			if err != nil {
				return err
			}
			committed = committed || n > 0
		}
		for _, ev := range parked {
			if err := r.eraseLate(ctx, tx, ev, Parked); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("webhook: look for what the handler committed: %w", err)
	case committed:
		return ErrTransactionEnded
	}
	return nil
}

func (r *Receiver) repairRows(events []Event) string {
	rows := make([]batchRow, len(events))
	for n, ev := range events {
		rows[n].ID = ev.ID
		if payload := r.ledger.storedPayload(ev, Parked); payload.Valid {
			rows[n].Payload = &payload.String
		}
	}
	// It cannot fail: strings were checked by decode.
	text, _ := json.Marshal(rows)
	return string(text)
}
