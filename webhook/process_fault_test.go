package webhook_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

// behind has a connection to the database that can fail, and a direct one.
func behind(t *testing.T, driver testdb.Driver, opts webhook.Options) (*webhook.Receiver, *proxy, *sql.DB) {
	t.Helper()
	// A pooler would put another connection behind this one.
	direct := testdb.Direct(t, testdb.URL(t), testdb.Cancels)
	db := testdb.Open(t, testdb.PQ, direct)
	effects(t, db)
	p, url := newProxy(t, direct)
	return newReceiver(t, testdb.Open(t, driver, url), opts), p, db
}

// The drivers detect lost connections differently.
var eachOf = []testdb.Driver{testdb.PQ, testdb.PGX}

func TestProcess_DatabaseRestarts(t *testing.T) {
	t.Parallel()
	for _, driver := range eachOf {
		t.Run(string(driver), func(t *testing.T) {
			t.Parallel()
			r, p, db := behind(t, driver, webhook.Options{})
			r.Handle(completed, effect)
			require.Equal(t, done(webhook.Processed), send(t, r, event("evt_1", completed)))
			p.set(true)
			for range 3 {
				require.Equal(t, failed, send(t, r, event("evt_2", completed)))
			}
			p.set(false)
			require.Equal(t, done(webhook.Processed), send(t, r, event("evt_2", completed)))
			require.Equal(t, 2, countEffects(t, db))
		})
	}
}

func TestProcess_ConnectionLostBeforeCommit(t *testing.T) {
	t.Parallel()
	for _, driver := range eachOf {
		t.Run(string(driver), func(t *testing.T) {
			t.Parallel()
			r, p, db := behind(t, driver, webhook.Options{})
			cut := true
			r.Handle(completed, func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
				outcome, err := effect(ctx, tx, ev)
				if cut {
					p.set(true)
					p.set(false)
				}
				return outcome, err
			})
			require.Equal(t, failed, send(t, r, event("evt_1", completed)))
			require.Zero(t, countEffects(t, db))
			require.Equal(t, webhook.Failed, entry(t, db, "evt_1").Outcome)
			cut = false
			require.Equal(t, done(webhook.Processed), send(t, r, event("evt_1", completed)))
			require.Equal(t, 1, countEffects(t, db))
		})
	}
}

// COMMIT is executed and its response lost: 500. Recording the failure must not replace
// the success.
func TestProcess_CommitResponseLost(t *testing.T) {
	t.Parallel()
	for _, driver := range eachOf {
		t.Run(string(driver), func(t *testing.T) {
			t.Parallel()
			r, p, db := behind(t, driver, webhook.Options{})
			r.Handle(completed, func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
				outcome, err := effect(ctx, tx, ev)
				p.loseNext()
				return outcome, err
			})
			require.Equal(t, failed, send(t, r, event("evt_1", completed)))
			require.Equal(t, webhook.Processed, entry(t, db, "evt_1").Outcome)
			require.Equal(t, done(webhook.Duplicate), send(t, r, event("evt_1", completed)))
			require.Equal(t, 1, countEffects(t, db))
		})
	}
}

// A deferred constraint fails at COMMIT.
func TestProcess_CommitFails(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		effects(t, db)
		_, err := db.ExecContext(t.Context(),
			`ALTER TABLE public.effects ADD CONSTRAINT once UNIQUE (event_id) DEFERRABLE INITIALLY DEFERRED`)
		require.NoError(t, err)
		r := newReceiver(t, db, webhook.Options{})
		twice := true
		r.Handle(completed, func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
			if twice {
				if outcome, err := effect(ctx, tx, ev); err != nil {
					return outcome, err
				}
			}
			return effect(ctx, tx, ev)
		})
		require.Equal(t, failed, send(t, r, event("evt_1", completed)))
		require.Zero(t, countEffects(t, db))
		require.Contains(t, entry(t, db, "evt_1").LastError, "commit")
		twice = false
		require.Equal(t, done(webhook.Processed), send(t, r, event("evt_1", completed)))
	})
}

// A driver's read may hang: the response comes in time, the number in flight stays
// bounded, and everything works once the database is back.
func TestProcess_DatabaseHangs(t *testing.T) {
	t.Parallel()
	for _, driver := range eachOf {
		t.Run(string(driver), func(t *testing.T) {
			t.Parallel()
			const limit = time.Second
			r, p, db := behind(t, driver, webhook.Options{Timeout: limit, MaxInFlight: 1})
			r.Handle(completed, effect)
			require.Equal(t, done(webhook.Processed), send(t, r, event("evt_1", completed)))
			p.hang()
			for _, id := range []string{"evt_2", "evt_3", "evt_2"} {
				start := time.Now()
				require.Equal(t, failed, send(t, r, event(id, completed)))
				require.Less(t, time.Since(start), limit+eventuallyTimeout/2)
			}
			p.resume()
			for _, id := range []string{"evt_2", "evt_3"} {
				eventually(t, "the redelivery of "+id,
					func() bool { return send(t, r, event(id, completed)).Status == 200 })
			}
			require.Equal(t, 3, countEffects(t, db))
		})
	}
}

// The response comes in time. The transaction is rolled back when the handler ends; until
// then another delivery waits, also in bounded time.
func TestProcess_HandlerIgnoresContext(t *testing.T) {
	t.Parallel()
	db := testdb.Open(t, testdb.PQ, testdb.Direct(t, testdb.URL(t), testdb.Cancels))
	effects(t, db)
	var log lines
	r := newReceiver(t, db, webhook.Options{Timeout: 2 * time.Second, Logger: log.logger()})
	release := make(chan struct{})
	r.Handle(completed, func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		outcome, err := effect(ctx, tx, ev)
		<-release
		return outcome, err
	})
	require.Equal(t, failed, send(t, r, event("evt_1", completed)))
	require.Equal(t, failed, send(t, r, event("evt_1", completed)), "its place is still taken")
	_, recorded := ledger(t, db, "evt_1")
	require.False(t, recorded)
	close(release)
	eventually(t, "the failure is recorded", func() bool { _, ok := ledger(t, db, "evt_1"); return ok })
	require.Equal(t, webhook.Failed, entry(t, db, "evt_1").Outcome)
	require.Zero(t, countEffects(t, db))
	require.Contains(t, log.String(), "goes on in the background")
	eventually(t, "its end is logged", func() bool { return len(log.all(t)) == 3 })
	require.Equal(t, "webhook delivery ended after its answer", log.all(t)[2]["msg"])
	eventually(t, "the next delivery does the work",
		func() bool { return send(t, r, event("evt_1", completed)) == done(webhook.Processed) })
	require.Equal(t, 1, countEffects(t, db))
}

// Answered with its own error, and the failure is recorded before the response.
func TestProcess_HandlerTimesOut(t *testing.T) {
	t.Parallel()
	db := testdb.Open(t, testdb.PQ, testdb.Direct(t, testdb.URL(t), testdb.Cancels))
	effects(t, db)
	var log lines
	r := newReceiver(t, db, webhook.Options{Timeout: 3 * time.Second, Logger: log.logger()})
	r.Handle(completed, func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		if _, err := effect(ctx, tx, ev); err != nil {
			return "", err
		}
		<-ctx.Done()
		return "", context.Cause(ctx)
	})
	require.Equal(t, failed, send(t, r, event("evt_1", completed)))
	require.Contains(t, entry(t, db, "evt_1").LastError, context.DeadlineExceeded.Error())
	require.Zero(t, countEffects(t, db))
	require.Len(t, log.all(t), 1)
}

// A statement that fails for one event affects only that event.
func TestProcess_EachStatementFails(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	effects(t, db)
	_, err := db.ExecContext(t.Context(), `
		CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
		CREATE TRIGGER refuse BEFORE INSERT ON booking_platform.payment_events
		FOR EACH ROW WHEN (NEW.stripe_event_id = 'evt_bad') EXECUTE FUNCTION public.refuse()`)
	require.NoError(t, err)
	var log lines
	r := newReceiver(t, db, webhook.Options{Logger: log.logger()})
	r.Handle(completed, effect)
	require.Equal(t, failed, send(t, r, event("evt_bad", completed)))
	require.Equal(t, done(webhook.Processed), send(t, r, event("evt_good", completed)))
	require.Equal(t, 1, countEffects(t, db))
	line := log.all(t)[0]
	require.Equal(t, "P0001", line["sqlstate"])
	require.Contains(t, line["error"], "record the failure", "the log says what the ledger could not")
}

// Every failed attempt is recorded, although concurrent records conflict.
func TestProcess_FailureRecordedUnderStricterDefault(t *testing.T) {
	t.Parallel()
	url := testdb.URL(t)
	_, err := testdb.Open(t, testdb.PQ, url).ExecContext(t.Context(), `DO $$ BEGIN
		EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''serializable''', current_database());
	END $$`)
	require.NoError(t, err)
	db := testdb.Open(t, testdb.PQ, url)
	const replicas, deliveries = 6, 15
	var wg sync.WaitGroup
	for range replicas {
		r := newReceiver(t, db, webhook.Options{})
		r.Handle(completed, failing(errors.New("out of tea")))
		wg.Go(func() {
			for range deliveries {
				send(t, r, event("evt_1", completed))
			}
		})
	}
	wg.Wait()
	require.Equal(t, replicas*deliveries, entry(t, db, "evt_1").Attempts)
}

// A fails and is slow to record it, while B processes the event: the success stays. A
// trigger delays A's record until B has committed.
func TestProcess_LateFailureRecordLeavesSuccess(t *testing.T) {
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

	a := newReceiver(t, testdb.Open(t, testdb.PQ, url), webhook.Options{Timeout: 5 * eventuallyTimeout})
	a.Handle(completed, failing(errors.New("A has no luck")))
	b := newReceiver(t, testdb.Open(t, testdb.PQ, url), webhook.Options{})
	b.Handle(completed, effect)

	answers := make(chan answer, 1)
	go func() { answers <- send(t, a, event("evt_1", completed)) }()
	eventually(t, "A's record waits", func() bool {
		var waiting bool
		err := db.QueryRowContext(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks l
			JOIN pg_database d ON d.oid = l.database
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
