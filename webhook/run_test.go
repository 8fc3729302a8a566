package webhook_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

// M29: Run does what makes an early event take effect and what removes old events, goes
// on after a step that failed, and returns when its context ends.
func TestRun(t *testing.T) {
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
	go func() { ended <- r.Run(ctx) }()
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
