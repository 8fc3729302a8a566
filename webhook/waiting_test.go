package webhook_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

func TestWaiting(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		none, err := webhook.NewLedger(db, "").Backlog(t.Context())
		require.NoError(t, err)
		require.Zero(t, none)

		effects(t, db)
		r := newReceiver(t, db, webhook.Options{})
		r.Handle(completed, effect)
		r.Handle("failing", failing(errors.New("no luck")))
		for _, outcome := range []webhook.Outcome{webhook.Unmatched, webhook.Parked} {
			r.Handle(string(outcome), func(context.Context, webhook.Tx,
				webhook.Event) (webhook.Outcome, error) {
				return outcome, nil
			})
		}
		for id, eventType := range map[string]string{
			"evt_1": completed, "evt_2": "failing", "evt_3": "failing", "evt_4": "unmatched", "evt_5": "parked",
			"evt_6": "ignored",
		} {
			send(t, r, event(id, eventType))
		}
		_, err = db.ExecContext(t.Context(), `UPDATE booking_platform.payment_events SET received_at = statement_timestamp() - CASE stripe_event_id
			WHEN 'evt_4' THEN interval '1 hour' WHEN 'evt_5' THEN interval '2 days' WHEN 'evt_1' THEN interval '3 days' ELSE interval '1 minute' END`)
		require.NoError(t, err)
		b, err := webhook.NewLedger(db, "").Backlog(t.Context())
		require.NoError(t, err)
		require.Equal(t, []int{2, 1, 1}, []int{b.Failed, b.Unmatched, b.Parked})
		require.Equal(t, entry(t, db, "evt_4").ReceivedAt, b.Oldest,
			"what is parked has been looked at by Stripe's deliveries for the last time")
		require.InDelta(t, time.Hour, b.Age, float64(time.Minute))
		require.Equal(t, entry(t, db, "evt_1").ProcessedAt, b.LastProcessed)
	})
}

// What waits is few rows among many, and only those are read.
func TestWaitingUsesTheIndex(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	many(t, db)
	p := plan(t, db, webhook.BacklogSQL, "default")
	require.Contains(t, p, "payment_events_waiting")
	require.NotContains(t, p, "Seq Scan on payment_events")
}

// many fills a ledger: 20,000 events a minute apart, the oldest two weeks ago, of which
// every thousandth waits.
func many(t testing.TB, db *sql.DB) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), `
		INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, outcome, received_at, processed_at, payload)
		SELECT 'default', 'evt_' || i, 't', CASE WHEN i % 1000 = 0 THEN 'failed' ELSE 'processed' END, at, CASE WHEN i % 1000 = 0 THEN NULL ELSE at END,
			CASE WHEN i % 1000 = 0 THEN '{}' END
		FROM generate_series(1, 20000) i, LATERAL (SELECT statement_timestamp() - i * interval '1 minute' AS at) x;
		ANALYZE booking_platform.payment_events`)
	require.NoError(t, err)
}
