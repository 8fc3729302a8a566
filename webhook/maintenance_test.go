package webhook_test

import (
	"context"
	"database/sql"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

// An early event takes effect, old ones are deleted, and a failed step does not end Run.
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
	eventually(t, "the old event is deleted", func() bool { return kept(t, db)["evt_old"] == "" })
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

const day = 24 * time.Hour

// aged has a payload, received and settled that many days ago.
func aged(t testing.TB, db *sql.DB, id string, outcome webhook.Outcome, received, settled int) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), `
		INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, outcome, reason, payload,
		received_at, processed_at)
		VALUES ('default', $1::text, 't', $2::text, CASE WHEN $2::text = 'ignored' THEN 'not_ours'
		ELSE '' END, '{}', statement_timestamp() - $3::integer * interval '1 day' - interval '1 hour',
			CASE WHEN $2::text IN ('failed', 'unmatched') THEN NULL
			ELSE statement_timestamp() - $4::integer * interval '1 day' - interval '1 hour' END)`,
		id, string(outcome), received, settled)
	require.NoError(t, err)
}

// kept returns whether each event's row and payload exist.
func kept(t testing.TB, db *sql.DB) map[string]string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT stripe_event_id, CASE WHEN payload IS NULL THEN 'row'
		ELSE 'row and payload' END FROM booking_platform.payment_events`)
	require.NoError(t, err)
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var id, is string
		require.NoError(t, rows.Scan(&id, &is))
		out[id] = is
	}
	require.NoError(t, rows.Err())
	return out
}

// Payloads of settled events go first, then their rows. Open events stay. An unmatched
// event ends after a week.
func TestDeleteOld_PayloadsAndRows(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		for _, outcome := range []webhook.Outcome{webhook.Processed, webhook.Ignored, webhook.Failed, webhook.Unmatched,
			webhook.Parked} {
			name := string(outcome)
			aged(t, db, name+"_6", outcome, 6, 6)
			aged(t, db, name+"_7", outcome, 7, 7)
			aged(t, db, name+"_89", outcome, 89, 89)
			aged(t, db, name+"_90", outcome, 90, 90)
		}
		aged(t, db, "settled_lately", webhook.Processed, 90, 89)
		r := newReceiver(t, db, webhook.Options{})
		n, err := r.DeleteOld(t.Context())
		require.NoError(t, err)
		require.Equal(t, 7+2+3, n,
			"7 payloads, 2 rows, and 3 unmatched events that no replica has a handler for are ended")
		const whole, row = "row and payload", "row"
		want := map[string]string{
			"processed_6": whole, "processed_7": row, "processed_89": row, "ignored_6": whole, "ignored_7": row,
			"ignored_89": row, "settled_lately": row,
		}
		for _, waiting := range []string{"failed", "unmatched", "parked"} {
			for _, age := range []string{"_6", "_7", "_89", "_90"} {
				want[waiting+age] = whole
			}
		}
		require.Equal(t, want, kept(t, db))
		n, err = r.DeleteOld(t.Context())
		require.NoError(t, err)
		require.Zero(t, n)

		// With DeleteWaiting and shorter periods.
		n, err = newReceiver(t, db, webhook.Options{KeepRowsFor: 30 * day, KeepPayloadFor: day,
			DeleteWaiting: true}).DeleteOld(t.Context())
		require.NoError(t, err)
		require.Equal(t, 2+7, n)
		require.Equal(t, map[string]string{
			"processed_6": row, "processed_7": row, "ignored_6": row, "ignored_7": row, "failed_6": whole,
			"failed_7":    whole,
			"unmatched_6": whole, "unmatched_7": whole, "unmatched_89": whole, "unmatched_90": whole, "parked_6": whole,
			"parked_7": whole,
		}, kept(t, db))
	})
}

// Stripe can send an event again for 30 days.
func TestDeleteOld_MinimumPeriods(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	for _, opts := range []webhook.Options{{KeepRowsFor: 30*day - 1}, {KeepRowsFor: -1}, {KeepPayloadFor: -1}} {
		_, err := webhook.New(db, []string{secret}, opts)
		require.Error(t, err)
	}
	newReceiver(t, db, webhook.Options{KeepRowsFor: 30 * day})
}

// A locked row is skipped, replicas share the work, and several batches run.
func TestDeleteOld_Concurrent(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	_, err := db.ExecContext(t.Context(), `
		INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, outcome, reason, payload,
		received_at, processed_at)
		SELECT 'default', 'evt_' || i, 't', 'processed', '', '{}', at, at FROM generate_series(1, 2600) i,
			LATERAL (SELECT statement_timestamp() - interval '100 days' - i * interval '1 second' AS at) x`)
	require.NoError(t, err)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	_, err = tx.ExecContext(t.Context(),
		`SELECT 1 FROM booking_platform.payment_events WHERE stripe_event_id = 'evt_800' FOR UPDATE`)
	require.NoError(t, err)

	r := newReceiver(t, db, webhook.Options{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	total := 0
	for range 3 {
		wg.Go(func() {
			// A step that waited for the locked row would exceed this.
			ctx, cancel := context.WithTimeout(t.Context(), eventuallyTimeout)
			defer cancel()
			n, err := r.DeleteOld(ctx)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			total += n
		})
	}
	wg.Wait()
	// A replica that finds a partial batch, because another has the rest, stops early.
	ctx, cancel := context.WithTimeout(t.Context(), eventuallyTimeout)
	defer cancel()
	n, err := r.DeleteOld(ctx)
	require.NoError(t, err)
	require.GreaterOrEqual(t, total+n, 2599)
	require.Equal(t, map[string]string{"evt_800": "row and payload"}, kept(t, db))
}

func TestDeleteOld_UsesIndexes(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	fillLedger(t, db)
	require.Contains(t, plan(t, db, webhook.DropPayloadsSQL, "default", 500, int64(7*day/time.Second),
		int64(7*day/time.Second)), "payment_events_payloads")
	p := plan(t, db, webhook.DeleteRowsSQL, "default", 500, int64(30*day/time.Second), false)
	require.Contains(t, p, "payment_events_received")
	require.NotContains(t, p, "Seq Scan")
}
