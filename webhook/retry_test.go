package webhook_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

const dueNow = `UPDATE booking_platform.payment_events SET retry_at = statement_timestamp()`

// An event that matched nothing, and one whose handler failed, are settled once they can be, without another delivery.
func TestWaitingEventsAreTakenUpAgain(t *testing.T) {
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

// Several replicas at once, and Stripe's own deliveries meanwhile: each event has one effect.
func TestWaitingEventsAtOnce(t *testing.T) {
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
