package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Only what is new is claimed together: what has a row, settled or not, or gets one from
// another replica meanwhile, is left to its own transaction. The rows are inserted in the
// order of their ids, so that two batches which wait for each other's do not do so in a
// circle.
const claimTogetherSQL = `
INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, api_version, account, livemode, object_id, stripe_session_id,
	stripe_payment_intent_id, payment_ref, outcome, payload, created_at, processed_at)
SELECT $2::text, t.id, t.type, t.api_version, t.account, t.livemode, t.object_id, t.session_id,
	t.intent_id, t.ref, 'processed', t.payload, t.created_at, statement_timestamp()
FROM jsonb_to_recordset($1::jsonb) AS t(id text, type text, api_version text, account text, livemode boolean, object_id text, session_id text,
	intent_id text, ref text, payload text, created_at timestamptz)
ORDER BY t.id
ON CONFLICT (receiver, stripe_event_id) DO NOTHING
RETURNING stripe_event_id`

type ledgerRow struct {
	ID         string     `json:"id"`
	Type       string     `json:"type"`
	APIVersion string     `json:"api_version"`
	Account    string     `json:"account"`
	Livemode   bool       `json:"livemode"`
	ObjectID   string     `json:"object_id"`
	SessionID  string     `json:"session_id"`
	IntentID   string     `json:"intent_id"`
	Ref        string     `json:"ref"`
	Payload    *string    `json:"payload"`
	CreatedAt  *time.Time `json:"created_at"`
}

// claimTogether claims as processed the events that have no row yet, and returns them.
func (l ledger) claimTogether(ctx context.Context, q Querier, batch []*waiter) ([]WaitingEvent, error) {
	rows := make([]ledgerRow, len(batch))
	byID := make(map[string]WaitingEvent, len(batch))
	for n, w := range batch {
		ev := w.Event
		rows[n] = ledgerRow{
			ID: ev.ID, Type: ev.Type, APIVersion: ev.APIVersion, Account: ev.Account, Livemode: ev.Livemode,
			ObjectID:  ev.ObjectID,
			SessionID: ev.SessionID, IntentID: ev.PaymentIntentID, Ref: ev.Reference,
		}
		if payload := l.storedPayload(ev, Processed); payload.Valid {
			rows[n].Payload = &payload.String
		}
		if !ev.Created.IsZero() {
			rows[n].CreatedAt = &ev.Created
		}
		byID[ev.ID] = w.WaitingEvent
	}
	ids, err := l.queryIDs(ctx, q, claimTogetherSQL, rows)
	if err != nil {
		return nil, fmt.Errorf("webhook: claim together: %w", err)
	}
	claimed := make([]WaitingEvent, len(ids))
	for n, id := range ids {
		claimed[n] = byID[id]
	}
	return claimed, nil
}

const unclaimSQL = `
DELETE FROM booking_platform.payment_events e
WHERE e.receiver = $2::text AND e.stripe_event_id IN (SELECT t.id FROM jsonb_to_recordset($1::jsonb) AS t(id text))
RETURNING e.stripe_event_id`

// unclaim deletes the rows that this transaction has inserted for events which it did not
// settle.
func (l ledger) unclaim(ctx context.Context, q Querier, claimed []WaitingEvent, settled []string) error {
	var rows []ledgerRow
	for _, w := range claimed {
		if !slices.Contains(settled, w.Event.ID) {
			rows = append(rows, ledgerRow{ID: w.Event.ID})
		}
	}
	if len(rows)+len(settled) != len(claimed) {
		return fmt.Errorf("webhook: handle together: what was settled is not among what was to be")
	}
	if _, err := l.queryIDs(ctx, q, unclaimSQL, rows); err != nil {
		return fmt.Errorf("webhook: take claims back: %w", err)
	}
	return nil
}

// queryIDs runs a statement about rows that are sent as JSON, and reads the ids it
// returns.
func (l ledger) queryIDs(ctx context.Context, q Querier, query string, rows []ledgerRow) ([]string, error) {
	// Strings that were checked, flags and times until the year 9999 can always be
	// written.
	text, _ := json.Marshal(rows)
	found, err := q.QueryContext(ctx, query, string(text), l.name)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var ids []string
	for found.Next() {
		var id string
		if err := found.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, found.Err()
}
