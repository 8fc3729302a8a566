package webhook_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

// One event 50 times at once over three hosts: one effect, one row, 50 times 200.
func TestDuplicateStorm(t *testing.T) {
	t.Parallel()
	url := testdb.URL(t)
	var hosts []*webhook.Receiver
	var db *sql.DB
	for _, driver := range []testdb.Driver{testdb.PQ, testdb.PGX, testdb.PQBinary} {
		db = testdb.Open(t, driver, url)
		r := newReceiver(t, db, webhook.Options{})
		r.Handle(completed, effect)
		hosts = append(hosts, r)
	}
	effects(t, db)

	const deliveries = 50
	answers := make(chan answer, deliveries)
	start := make(chan struct{})
	for i := range deliveries {
		go func() {
			<-start
			answers <- send(t, hosts[i%len(hosts)], event("evt_1", completed))
		}()
	}
	close(start)
	outcomes := map[string]int{}
	for range deliveries {
		a := within(t, answers, "an answer")
		require.Equal(t, http.StatusOK, a.Status)
		outcomes[a.Outcome]++
	}
	require.Equal(t, map[string]int{"processed": 1, "duplicate": deliveries - 1}, outcomes)
	require.Equal(t, 1, countEffects(t, db))
	require.Equal(t, 1, entry(t, db, "evt_1").Attempts)
}

// While one event's handler works, its duplicates hold no connections: the caller's own
// queries go on.
func TestStormLeavesThePoolUsable(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	db.SetMaxOpenConns(2)
	effects(t, db)
	r := newReceiver(t, db, webhook.Options{MaxInFlight: 50})
	working, release := make(chan struct{}), make(chan struct{})
	r.Handle(completed, func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		close(working)
		<-release
		return effect(ctx, tx, ev)
	})
	const deliveries = 50
	answers := make(chan answer, deliveries)
	deliver := func() { answers <- send(t, r, event("evt_1", completed)) }
	go deliver()
	within(t, working, "the handler")
	for range deliveries - 1 {
		go deliver()
	}
	eventually(t, "all have arrived", func() bool { return r.Stats().Received == deliveries })

	for range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), patience/10)
		require.NoError(t, db.PingContext(ctx), "the caller's own work")
		_, err := db.ExecContext(ctx, `SELECT 1`)
		require.NoError(t, err)
		cancel()
	}
	close(release)
	for range deliveries {
		require.Equal(t, http.StatusOK, within(t, answers, "an answer").Status)
	}
	require.Equal(t, webhook.Stats{Received: deliveries, Processed: 1, Duplicates: deliveries - 1}, sums(r))
}

// A storm of different events leaves half of the pool alone, when nothing else is said.
func TestInFlightIsBounded(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	db.SetMaxOpenConns(4)
	r := newReceiver(t, db, webhook.Options{})
	working, release := make(chan struct{}, 50), make(chan struct{})
	r.Handle(completed, func(context.Context, webhook.Tx, webhook.Event) (webhook.Outcome, error) {
		working <- struct{}{}
		<-release
		return webhook.Processed, nil
	})
	const deliveries = 20
	answers := make(chan answer, deliveries)
	for i := range deliveries {
		go func() { answers <- send(t, r, event(fmt.Sprintf("evt_%d", i), completed)) }()
	}
	within(t, working, "the first")
	within(t, working, "the second")
	eventually(t, "all have arrived", func() bool { return r.Stats().Received == deliveries })
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.Equal(t, 2, db.Stats().InUse, "half of the pool is the caller's")
	require.Empty(t, working)
	close(release)
	for range deliveries {
		require.Equal(t, done(webhook.Processed), within(t, answers, "an answer"))
	}
}

// A delivers, fails, and is slow to record it, while B processes the same event: B's
// success stands, and the next delivery is a duplicate. A trigger holds A's record back
// until B is done.
func TestLateFailureRecordLeavesASuccess(t *testing.T) {
	t.Parallel()
	url := testdb.URL(t)
	db := testdb.Open(t, testdb.PQ, url)
	effects(t, db)
	_, err := db.ExecContext(t.Context(), `
		CREATE FUNCTION public.hold_failures_back() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NEW; END $$;
		CREATE TRIGGER hold_failures_back BEFORE INSERT ON booking_platform.payment_events
		FOR EACH ROW WHEN (NEW.outcome = 'failed') EXECUTE FUNCTION public.hold_failures_back()`)
	require.NoError(t, err)
	lock, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = lock.Rollback() })
	_, err = lock.ExecContext(t.Context(), `SELECT pg_advisory_xact_lock(7)`)
	require.NoError(t, err)

	a := newReceiver(t, testdb.Open(t, testdb.PQ, url), webhook.Options{Timeout: 5 * patience})
	a.Handle(completed, failing(errors.New("A has no luck")))
	b := newReceiver(t, testdb.Open(t, testdb.PQ, url), webhook.Options{})
	b.Handle(completed, effect)

	answers := make(chan answer, 1)
	go func() { answers <- send(t, a, event("evt_1", completed)) }()
	eventually(t, "A's record waits", func() bool {
		var waiting bool
		err := db.QueryRowContext(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
			WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted)`).Scan(&waiting)
		return err == nil && waiting
	})
	require.Equal(t, done(webhook.Processed), send(t, b, event("evt_1", completed)))
	require.NoError(t, lock.Rollback())
	require.Equal(t, failed, within(t, answers, "A's answer"))

	e := entry(t, db, "evt_1")
	require.Equal(t, webhook.Processed, e.Outcome)
	require.Empty(t, e.LastError)
	require.Equal(t, done(webhook.Duplicate), send(t, b, event("evt_1", completed)))
	require.Equal(t, 1, countEffects(t, db))
}

// The sender hangs up while the handler works: the transaction is carried to its end.
func TestSenderThatHangsUp(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	effects(t, db)
	r := newReceiver(t, db, webhook.Options{})
	working, gone := make(chan struct{}), make(chan struct{})
	r.Handle(completed, func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		close(working)
		<-gone
		return effect(ctx, tx, ev)
	})
	ctx, hangUp := context.WithCancel(t.Context())
	req := request(event("evt_1", completed)).WithContext(ctx)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		r.ServeHTTP(httptest.NewRecorder(), req)
	}()
	within(t, working, "the handler")
	hangUp()
	close(gone)
	within(t, finished, "the end")
	require.Equal(t, webhook.Processed, entry(t, db, "evt_1").Outcome)
	require.Equal(t, 1, countEffects(t, db))
}
