package payments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/webhook"
)

// RegisterBatch lets payments that arrive at the same time share a transaction; call it
// after [Payments.Register]. A batch takes only simple events: a paid
// checkout.session.completed with the right amount, for an open payment with a stored
// session id and a hold that has not expired. Other events, and events of a failed batch,
// are handled one by one with the same result. Use it for an endpoint that receives more
// events per second than it can commit; see [webhook.Receiver.HandleBatch]. With
// Options.OnTransition it does nothing.
func (p *Payments) RegisterBatch(r *webhook.Receiver) {
	if p.opts.OnTransition != nil {
		return
	}
	r.HandleBatch("checkout.session.completed", p.handleCompletedBatch)
}

// batchedEvent is an event as the statements read it.
type batchedEvent struct {
	EventID   string `json:"event_id"`
	SessionID string `json:"session_id"`
	IntentID  string `json:"intent_id"`
	Total     int64  `json:"total"`
	Currency  string `json:"currency"`
	PaymentID string `json:"payment_id"`
	BookingID string `json:"booking_id"`
}

// openPlain is true for a payment p without any facts whose booking has no captured
// payment.
const openPlain = `NOT p.completed AND NOT p.failed AND NOT p.expired AND NOT p.parked AND p.disputes = 0
	AND p.captured_minor = 0 AND p.refunded_minor = 0 AND p.refunds_unknown = 0 AND p.unapplied = ''
	AND NOT EXISTS (SELECT FROM booking_platform.payments o WHERE o.booking_id = p.booking_id AND o.id <> p.id
		AND o.captured_minor > 0)`

// One event per booking, because the order of two would matter.
const plainSQL = `
SELECT DISTINCT ON (p.booking_id) t.event_id, p.id::text, p.booking_id::text
FROM jsonb_to_recordset($1::jsonb) AS t(event_id text, session_id text, total bigint, currency text)
JOIN booking_platform.payments p ON p.stripe_session_id = t.session_id
WHERE p.amount_minor = t.total AND p.currency = t.currency AND ` + openPlain + `
ORDER BY p.booking_id, t.event_id`

// The bookings are locked, so the payments cannot change any more.
const recordPlainSQL = `
UPDATE booking_platform.payments AS p SET
	stripe_payment_intent_id = coalesce(p.stripe_payment_intent_id, nullif(t.intent_id, '')),
	completed = true, captured_minor = p.amount_minor, captured_currency = p.currency,
		updated_at = statement_timestamp()
FROM jsonb_to_recordset($1::jsonb) AS t(payment_id uuid, intent_id text)
WHERE p.id = t.payment_id AND ` + openPlain

var errChanged = errors.New("payments: a payment changed during its batch")

// handleCompletedBatch handles the simple ones among completed Checkouts, as
// handleCompleted does for a pending booking, and returns the ids of their events.
func (p *Payments) handleCompletedBatch(ctx context.Context, tx webhook.Tx,
	events []webhook.BatchEvent) ([]string, error) {
	plain, err := selectPlain(ctx, tx, events)
	if err != nil || len(plain) == 0 {
		return nil, err
	}
	wanted := make([]booking.Confirmation, 0, len(plain))
	for _, w := range events {
		if t, ok := plain[w.Event.ID]; ok {
			wanted = append(wanted, booking.Confirmation{ID: t.BookingID,
				Actor: booking.Actor(actingAs(w.Context, "stripe:"+w.Event.ID))})
		}
	}
	confirmed, err := p.bookings.Tx(tx).ConfirmSeveral(ctx, wanted)
	if err != nil || len(confirmed) == 0 {
		return nil, err
	}
	byBooking := make(map[string]batchedEvent, len(plain))
	for _, t := range plain {
		byBooking[t.BookingID] = t
	}
	record := make([]batchedEvent, len(confirmed))
	settled := make([]string, len(confirmed))
	for n, id := range confirmed {
		record[n], settled[n] = byBooking[id], byBooking[id].EventID
	}
	res, err := tx.ExecContext(ctx, recordPlainSQL, asJSON(record))
	if err != nil {
		return nil, fmt.Errorf("payments: record a batch: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || int(n) != len(record) {
		return nil, errors.Join(errChanged, err)
	}
	for _, w := range events {
		if t, ok := plain[w.Event.ID]; ok {
			webhook.Annotate(w.Context, slog.String("booking_id", t.BookingID), slog.String("payment_id", t.PaymentID))
		}
	}
	return settled, nil
}

// selectPlain returns the simple events by id, with their payments and bookings.
func selectPlain(ctx context.Context, tx webhook.Tx, events []webhook.BatchEvent) (map[string]batchedEvent, error) {
	candidates := make([]batchedEvent, 0, len(events))
	byEvent := make(map[string]batchedEvent, len(events))
	for _, w := range events {
		var s checkoutSession
		if json.Unmarshal(w.Event.Object, &s) != nil || w.Event.SessionID == "" || !s.paid() {
			continue
		}
		if total, known := s.total(); known {
			t := batchedEvent{
				EventID: w.Event.ID, SessionID: w.Event.SessionID, IntentID: w.Event.PaymentIntentID,
				Total: total.Minor, Currency: total.Currency,
			}
			candidates, byEvent[t.EventID] = append(candidates, t), t
		}
	}
	if len(candidates) == 0 {
		return nil, nil
	}
	rows, err := tx.QueryContext(ctx, plainSQL, asJSON(candidates))
	if err != nil {
		return nil, fmt.Errorf("payments: match a batch: %w", err)
	}
	defer rows.Close()
	plain := make(map[string]batchedEvent, len(candidates))
	for rows.Next() {
		var event, payment, bookingID string
		if err := rows.Scan(&event, &payment, &bookingID); err != nil {
			return nil, fmt.Errorf("payments: match a batch: %w", err)
		}
		t := byEvent[event]
		t.PaymentID, t.BookingID = payment, bookingID
		plain[event] = t
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("payments: match a batch: %w", err)
	}
	return plain, nil
}

func asJSON(events []batchedEvent) string {
	// Numbers and valid strings: encoding cannot fail.
	text, _ := json.Marshal(events)
	return string(text)
}
