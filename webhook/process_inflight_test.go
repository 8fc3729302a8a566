package webhook_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

// 50 concurrent deliveries of one event to three hosts have one effect and one row.
func TestInflight_DuplicateStorm(t *testing.T) {
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

// While a handler works, duplicates of its event hold no connections.
func TestInflight_StormLeavesPoolUsable(t *testing.T) {
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
		ctx, cancel := context.WithTimeout(t.Context(), eventuallyTimeout/10)
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

// By default deliveries use half of the pool.
func TestInflight_MaxInFlight(t *testing.T) {
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
