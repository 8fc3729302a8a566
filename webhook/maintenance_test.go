package webhook_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

// M29: Run makes an early event take effect, deletes old events, continues after a step
// that failed, and returns when its context ends.
func TestRun_RetriesAndDeletesAfterFailures(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	effects(t, db)
	var log lines
	r := newReceiver(t, db, webhook.Options{Logger: log.logger()})
	there := make(chan struct{})
	r.Handle(completed, func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		select {
		case <-there:
			return effect(ctx, tx, ev)
		default:
			return webhook.Unmatched, nil
		}
	})
	require.Equal(t, done(webhook.Unmatched), send(t, r, event("evt_1", completed)))
	aged(t, db, "evt_old", webhook.Processed, 100, 100)
	_, err := db.ExecContext(t.Context(), `ALTER TABLE booking_platform.payment_events RENAME TO away`)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- r.RunEvery(ctx, 20*time.Millisecond) }()
	eventually(t, "the steps fail and are logged", func() bool { return len(log.all(t)) >= 3 })
	_, err = db.ExecContext(t.Context(), `ALTER TABLE booking_platform.away RENAME TO payment_events`)
	require.NoError(t, err)
	close(there)
	_, err = db.ExecContext(t.Context(), dueNow)
	require.NoError(t, err)
	eventually(t, "the event takes effect", func() bool { return countEffects(t, db) == 1 })
	stop()
	require.NoError(t, within(t, ended, "the end"))

	ctx, stop = context.WithCancel(t.Context())
	defer stop()
	go func() { ended <- r.Run(ctx) }()
	eventually(t, "the old event is deleted", func() bool { return what(t, db)["evt_old"] == "" })
	stop()
	require.NoError(t, within(t, ended, "the end"))
}

func TestRun_ReportsEachStep(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	items := map[string]int{}
	db := testdb.New(t)
	r := newReceiver(t, db, webhook.Options{OnStep: func(step string, _ time.Duration, n int, err error) {
		mu.Lock()
		defer mu.Unlock()
		items[step] = n
		if err != nil {
			t.Errorf("%s: %v", step, err)
		}
	}})
	aged(t, db, "evt_old", webhook.Processed, 100, 100)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	eventually(t, "both steps have run", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(items) == 2
	})
	stop()
	require.NoError(t, within(t, ended, "the end"))
	require.Equal(t, map[string]int{"webhook.RetryWaiting": 0, "webhook.DeleteOld": 2}, items, "payload, then row")
}
