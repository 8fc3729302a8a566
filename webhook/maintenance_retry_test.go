package webhook_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

const dueNow = `UPDATE booking_platform.payment_events SET retry_at = statement_timestamp()`

func TestRetryWaiting_UnmatchedAndFailed(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	r := newReceiver(t, db, webhook.Options{})
	there := false
	r.Handle("unmatched", func(context.Context, webhook.Tx, webhook.Event) (webhook.Outcome, error) {
		if !there {
			return webhook.Unmatched, nil
		}
		return webhook.Processed, nil
	})
	r.Handle("failed", func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		if !there {
			return "", errors.New("no luck")
		}
		require.Equal(t, "pi_1", ev.PaymentIntentID, "the event as it was signed")
		return webhook.Processed, nil
	})
	require.Equal(t, done(webhook.Unmatched), send(t, r, event("evt_1", "unmatched")))
	require.Equal(t, failed, send(t, r, event("evt_2", "failed")))
	settled, err := r.RetryWaiting(t.Context())
	require.NoError(t, err)
	require.Zero(t, settled, "not before its time")

	_, err = db.Exec(dueNow)
	require.NoError(t, err)
	settled, err = r.RetryWaiting(t.Context())
	require.ErrorContains(t, err, "no luck")
	require.Zero(t, settled)
	require.Equal(t, webhook.Unmatched, entry(t, db, "evt_1").Outcome)

	there = true
	_, err = db.Exec(dueNow)
	require.NoError(t, err)
	settled, err = r.RetryWaiting(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, settled)
	for _, id := range []string{"evt_1", "evt_2"} {
		e := entry(t, db, id)
		require.Equal(t, webhook.Processed, e.Outcome)
		require.Equal(t, 3, e.Attempts)
		require.Empty(t, e.LastError)
	}
	_, err = db.Exec(dueNow)
	require.NoError(t, err)
	settled, err = r.RetryWaiting(t.Context())
	require.NoError(t, err)
	require.Zero(t, settled, "what is settled is left alone")
}

// Several replicas retry while Stripe delivers: each event has one effect.
func TestRetryWaiting_Concurrent(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	effects(t, db)
	r := newReceiver(t, db, webhook.Options{})
	handle := func(context.Context, webhook.Tx, webhook.Event) (webhook.Outcome, error) {
		return webhook.Unmatched, nil
	}
	var mu sync.Mutex
	r.Handle(completed, func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		mu.Lock()
		h := handle
		mu.Unlock()
		return h(ctx, tx, ev)
	})
	ids := []string{"evt_1", "evt_2", "evt_3", "evt_4", "evt_5"}
	for _, id := range ids {
		require.Equal(t, done(webhook.Unmatched), send(t, r, event(id, completed)))
	}
	mu.Lock()
	handle = effect
	mu.Unlock()
	_, err := db.Exec(dueNow)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := r.RetryWaiting(t.Context()); err != nil {
				t.Error(err)
			}
		})
		for _, id := range ids {
			wg.Go(func() { send(t, r, event(id, completed)) })
		}
	}
	wg.Wait()
	require.Equal(t, len(ids), countEffects(t, db))
}

// unmatched has a handler that matches only the events with these ids.
func unmatched(t testing.TB, db *sql.DB, opts webhook.Options, ids ...string) *webhook.Receiver {
	t.Helper()
	r := newReceiver(t, db, opts)
	r.Handle("refund.created", func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		if !slices.Contains(ids, ev.ID) {
			return webhook.Unmatched, nil
		}
		return effect(ctx, tx, ev)
	})
	return r
}

func refund(id string) []byte {
	return fmt.Appendf(nil, `{"id":%q,"type":"refund.created","data":{"object":{"id":"re_1","object":"refund",`+
		`"payment_intent":"pi_1"}}}`, id)
}

// M34: Events of another product, all due at once, do not delay the retry of this
// service's events, and have a bounded share of a run.
func TestRetryWaiting_OtherProductsDoNotDelay(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	effects(t, db)
	_, err := db.ExecContext(t.Context(), `
		INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, outcome, payload, received_at,
		retry_at)
		SELECT 'default', 'evt_foreign_' || i, 'refund.created', 'unmatched',
			'{"id":"evt_foreign_' || i || '","type":"refund.created","data":{"object":{"id":"re_' || i || '"}}}', at, at
		FROM generate_series(1, 30000) i, LATERAL (SELECT statement_timestamp() - i * interval '5 seconds' AS at) x;
		ANALYZE booking_platform.payment_events`)
	require.NoError(t, err)
	none := unmatched(t, db, webhook.Options{})
	require.Equal(t, done(webhook.Unmatched), send(t, none, refund("evt_ours")))
	fails := newReceiver(t, db, webhook.Options{})
	fails.Handle("refund.created", failing(errors.New("no luck")))
	require.Equal(t, failed, send(t, fails, refund("evt_fails")))
	_, err = db.ExecContext(t.Context(), `UPDATE booking_platform.payment_events SET retry_at = statement_timestamp()
		WHERE stripe_event_id IN ('evt_ours', 'evt_fails')`)
	require.NoError(t, err)

	settled, err := unmatched(t, db, webhook.Options{}, "evt_ours", "evt_fails").RetryWaiting(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, settled)
	require.Equal(t, webhook.Processed, entry(t, db, "evt_ours").Outcome)
	require.Equal(t, webhook.Processed, entry(t, db, "evt_fails").Outcome)
	var tried int
	require.NoError(t, db.QueryRowContext(t.Context(),
		`SELECT count(*) FROM booking_platform.payment_events WHERE attempts > 1
			AND outcome = 'unmatched'`).Scan(&tried))
	require.Equal(t, 24, tried, "the share of what matches nothing is 25, ours among them")
}

// M34: About 25 times in three days at growing intervals; the last retry or delivery
// ignores it.
func TestRetryWaiting_UnmatchedFor(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	r := unmatched(t, db, webhook.Options{})
	send(t, r, refund("evt_1"))
	tries := 0
	for entry(t, db, "evt_1").Outcome == webhook.Unmatched && tries < 100 {
		// The clock is the database's, so the event is made older.
		_, err := db.ExecContext(t.Context(), `UPDATE booking_platform.payment_events
			SET received_at = received_at - (retry_at - statement_timestamp()), retry_at = statement_timestamp()`)
		require.NoError(t, err)
		_, err = r.RetryWaiting(t.Context())
		require.NoError(t, err)
		tries++
	}
	e := entry(t, db, "evt_1")
	require.Equal(t, webhook.Ignored, e.Outcome)
	require.Equal(t, webhook.ReasonNotOurs, e.Reason)
	require.False(t, e.ProcessedAt.IsZero())
	require.InDelta(t, 72*time.Hour, time.Since(e.ReceivedAt), float64(time.Minute))
	require.InDelta(t, 25, tries, 5)
	require.Equal(t, done(webhook.Duplicate), send(t, r, refund("evt_1")))
	backlog, err := r.Ledger().Backlog(t.Context())
	require.NoError(t, err)
	require.Zero(t, backlog.Unmatched)

	send(t, r, refund("evt_2"))
	_, err = db.ExecContext(t.Context(), `UPDATE booking_platform.payment_events
		SET received_at = received_at - interval '1 hour' WHERE stripe_event_id = 'evt_2'`)
	require.NoError(t, err)
	require.Equal(t, done(webhook.Unmatched), send(t, r, refund("evt_2")))
	require.Equal(t, done(webhook.Ignored),
		send(t, unmatched(t, db, webhook.Options{UnmatchedFor: time.Hour}), refund("evt_2")))
	_, err = webhook.New(db, []string{secret}, webhook.Options{UnmatchedFor: time.Second})
	require.Error(t, err)
}
