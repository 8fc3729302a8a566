package webhook_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

type effectRow struct {
	EventID string `json:"event_id"`
}

// effectBatch has the effect of all events but those whose id ends in "_odd", which it
// leaves out in Go, or in "_even", in SQL.
func effectBatch() webhook.Batch {
	return webhook.Batch{
		Row: func(_ context.Context, ev webhook.Event) (any, bool) {
			return effectRow{ev.ID}, !strings.HasSuffix(ev.ID, "_odd")
		},
		Choose: `chosen AS (
			SELECT t.event_id FROM jsonb_to_recordset($3::jsonb) AS t(event_id text) WHERE t.event_id NOT LIKE '%_even'
		)`,
		Apply: `applied AS (
			INSERT INTO public.effects (event_id) SELECT c.event_id FROM claimed c
			RETURNING event_id, 'detail of ' || event_id AS detail
		)`,
		Settled: func(ctx context.Context, detail string) { webhook.Annotate(ctx, slog.String("detail", detail)) },
	}
}

// batchFixture's first two statements wait for a lock, so that what is sent meanwhile
// forms the next batch.
type batchFixture struct {
	*webhook.Receiver
	t       *testing.T
	db      *sql.DB
	lock    *sql.Tx
	answers map[string]chan answer
}

func newBatchFixture(t *testing.T, db *sql.DB, opts webhook.Options, one webhook.Handler,
	many webhook.Batch) *batchFixture {
	t.Helper()
	c := &batchFixture{Receiver: newReceiver(t, db, opts), t: t, db: db, answers: map[string]chan answer{}}
	effects(t, db)
	c.Handle(completed, one)
	c.HandleBatch(completed, many)
	var err error
	c.lock, err = db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.lock.Rollback() })
	_, err = c.lock.ExecContext(t.Context(), `LOCK TABLE public.effects IN SHARE MODE`)
	require.NoError(t, err)
	for n, id := range []string{"evt_first", "evt_second"} {
		c.deliver(id)
		eventually(t, "a statement", func() bool { return c.RunningBatches(completed) == n+1 })
	}
	return c
}

func (c *batchFixture) deliver(id string) {
	answered := make(chan answer, 1)
	c.answers[id] = answered
	go func() { answered <- send(c.t, c, event(id, completed)) }()
}

func (c *batchFixture) sendBatch(ids ...string) map[string]answer {
	c.t.Helper()
	for n, id := range ids {
		c.deliver(id)
		eventually(c.t, "a place in the queue", func() bool { return c.QueuedForBatch(completed) == n+1 })
	}
	return c.release()
}

func (c *batchFixture) release() map[string]answer {
	c.t.Helper()
	require.NoError(c.t, c.lock.Rollback())
	got := map[string]answer{}
	for id, answered := range c.answers {
		got[id] = within(c.t, answered, "the answer of "+id)
	}
	return got
}

func (c *batchFixture) sizes() (sizes []int) {
	c.t.Helper()
	rows, err := c.db.QueryContext(c.t.Context(), `SELECT count(*) FROM public.effects e GROUP BY e.xmin::text ORDER BY 1`)
	require.NoError(c.t, err)
	defer rows.Close()
	for rows.Next() {
		var n int
		require.NoError(c.t, rows.Scan(&n))
		sizes = append(sizes, n)
	}
	require.NoError(c.t, rows.Err())
	return sizes
}

func numbered(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("evt_%02d", i)
	}
	return ids
}

// longer gives statements more time, on a busy machine.
const longer = 100 * time.Second

func TestHandleBatch_OneStatement(t *testing.T) {
	t.Parallel()
	for _, prepare := range []bool{false, true} {
		for _, driver := range testdb.Drivers {
			t.Run(fmt.Sprint(driver, prepare), func(t *testing.T) {
				t.Parallel()
				var log lines
				url := testdb.URL(t)
				if prepare {
					url = testdb.Direct(t, url, "a prepared statement is the session's")
				}
				opts := webhook.Options{Logger: log.logger(), KeepPayload: true, Timeout: longer, Prepare: prepare}
				alone := failing(errors.New("by itself"))
				c := newBatchFixture(t, testdb.Open(t, driver, url), opts, alone, effectBatch())
				for id, a := range c.sendBatch(numbered(10)...) {
					require.Equal(t, done(webhook.Processed), a, id)
					e := entry(t, c.db, id)
					require.Equal(t, 1, e.Attempts)
					require.Equal(t, string(event(id, completed)), e.Payload)
					require.Equal(t, "cs_test_1", e.SessionID)
					require.Equal(t, "order-1", e.Reference)
					require.Equal(t, time.Unix(1795000000, 0).UTC(), e.Created)
					require.False(t, e.ProcessedAt.IsZero())
				}
				require.Equal(t, []int{1, 1, 10}, c.sizes())
				require.Equal(t, int64(12), c.Stats().Processed)
				lines := log.all(t)
				require.Len(t, lines, 12)
				for _, line := range lines {
					require.Equal(t, fmt.Sprint("detail of ", line["event_id"]), line["detail"])
				}
				require.Equal(t, done(webhook.Duplicate), send(t, c, event("evt_03", completed)))
			})
		}
	}
}

func TestHandleBatch_OneRoundTrip(t *testing.T) {
	t.Parallel()
	db, trips := testdb.Counting(t)
	effects(t, db)
	r := newReceiver(t, db, webhook.Options{})
	r.Handle(completed, failing(errors.New("by itself")))
	r.HandleBatch(completed, effectBatch())
	require.Equal(t, done(webhook.Processed), send(t, r, event("evt_warm", completed)))
	before := trips.Load()
	require.Equal(t, done(webhook.Processed), send(t, r, event("evt_1", completed)))
	require.Equal(t, int64(1), trips.Load()-before)
}

func TestHandleBatch_OtherEventsAreHandledAlone(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	c := newBatchFixture(t, db, webhook.Options{Timeout: longer},
		func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
			if ev.ID == "evt_unmatched_even" {
				return webhook.Unmatched, nil
			}
			return effect(ctx, tx, ev)
		}, effectBatch())
	// It has a row, so it is not new and gets its own transaction.
	_, err := db.ExecContext(t.Context(), `INSERT INTO booking_platform.payment_events (receiver, stripe_event_id,
		type, api_version, outcome) VALUES ('default', 'evt_failed', 'x', 'x', 'failed')`)
	require.NoError(t, err)
	c.deliver("evt_2_odd")
	got := c.sendBatch("evt_1", "evt_4_even", "evt_unmatched_even", "evt_failed", "evt_3")
	require.Equal(t, done(webhook.Unmatched), got["evt_unmatched_even"])
	delete(got, "evt_unmatched_even")
	for id, a := range got {
		require.Equal(t, done(webhook.Processed), a, id)
	}
	require.Equal(t, []int{1, 1, 1, 1, 1, 2}, c.sizes())
	for _, id := range []string{"evt_2_odd", "evt_4_even", "evt_unmatched_even"} {
		require.Equal(t, 1, entry(t, db, id).Attempts)
	}
	require.True(t, entry(t, db, "evt_unmatched_even").ProcessedAt.IsZero())
	require.Equal(t, 2, entry(t, db, "evt_failed").Attempts)
}

// It undoes the whole statement.
func TestHandleBatch_ClaimedAndNotApplied(t *testing.T) {
	t.Parallel()
	for _, driver := range testdb.Drivers {
		t.Run(string(driver), func(t *testing.T) {
			t.Parallel()
			b := effectBatch()
			b.Apply = strings.Replace(b.Apply, "FROM claimed c", "FROM claimed c WHERE c.event_id <> 'evt_lost'", 1)
			c := newBatchFixture(t, testdb.Open(t, driver, testdb.URL(t)), webhook.Options{Timeout: longer}, effect, b)
			for id, a := range c.sendBatch("evt_1", "evt_lost", "evt_2") {
				require.Equal(t, done(webhook.Processed), a, id)
				require.Equal(t, 1, entry(t, c.db, id).Attempts)
			}
			require.Equal(t, []int{1, 1, 1, 1, 1}, c.sizes(), "by themselves")
		})
	}
}

func TestHandleBatch_FailedStatement(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*webhook.Batch){
		"an error": func(b *webhook.Batch) {
			b.Apply = strings.Replace(b.Apply, "'detail of ' || event_id", "(1 / (length(event_id) - length(event_id)))::text", 1)
		},
		"no SQL": func(b *webhook.Batch) { b.Choose = "chosen AS (no SQL)" },
		"the commit": func(b *webhook.Batch) {
			b.Apply += `, once AS (INSERT INTO public.once (n) VALUES (1), (1))`
		},
		"no JSON": func(b *webhook.Batch) {
			b.Row = func(context.Context, webhook.Event) (any, bool) { return func() {}, true }
		},
	} {
		for _, isolation := range []string{"read committed", "serializable"} {
			t.Run(name+", "+isolation, func(t *testing.T) {
				t.Parallel()
				db := testdb.New(t)
				effects(t, db)
				_, err := db.ExecContext(t.Context(), `CREATE TABLE public.once (n integer UNIQUE DEFERRABLE INITIALLY DEFERRED)`)
				require.NoError(t, err)
				setIsolation(t, db, isolation)
				r := newReceiver(t, db, webhook.Options{})
				r.Handle(completed, effect)
				b := effectBatch()
				change(&b)
				r.HandleBatch(completed, b)
				require.Equal(t, done(webhook.Processed), send(t, r, event("evt_1", completed)))
				require.Equal(t, 1, entry(t, db, "evt_1").Attempts)
				require.Equal(t, 1, countEffects(t, db))
			})
		}
	}
}

func setIsolation(t *testing.T, db *sql.DB, level string) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), `DO $$ BEGIN
		EXECUTE format('ALTER ROLE CURRENT_USER IN DATABASE %I SET default_transaction_isolation = %L',
			current_database(), '`+level+`');
	END $$`)
	require.NoError(t, err)
	db.SetMaxIdleConns(0)
	// A pooler keeps connections with the level before, this one among them.
	_, err = db.ExecContext(t.Context(), `SELECT pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a
		WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()`)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), `SELECT pg_terminate_backend(pg_backend_pid())`)
	require.Error(t, err)
	var got string
	require.NoError(t, db.QueryRowContext(t.Context(), `SHOW transaction_isolation`).Scan(&got))
	require.Equal(t, level, got)
	db.SetMaxIdleConns(10)
}

func TestHandleBatch_RunningStatementsHang(t *testing.T) {
	t.Parallel()
	c := newBatchFixture(t, testdb.New(t), webhook.Options{Timeout: 10 * time.Second},
		func(context.Context, webhook.Tx, webhook.Event) (webhook.Outcome, error) {
			return webhook.Processed, nil
		},
		effectBatch())
	require.Equal(t, done(webhook.Processed), send(t, c, event("evt_1", completed)))
	require.Zero(t, c.QueuedForBatch(completed))
	for id, a := range c.release() {
		require.Equal(t, http.StatusOK, a.Status, id)
	}
}

// M33: A commit that gives no answer in time is not believed and not cancelled: the
// delivery is answered 500, and the next one after the commit finds a duplicate.
func TestHandleBatch_CommitWaits(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	effects(t, db)
	_, err := db.ExecContext(t.Context(), `
CREATE FUNCTION public.wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_advisory_xact_lock_shared(7);
	RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER wait_at_gate AFTER INSERT ON public.effects DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION public.wait_at_gate();`)
	require.NoError(t, err)
	gate, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = gate.Rollback() }()
	_, err = gate.ExecContext(t.Context(), `SELECT pg_advisory_xact_lock(7)`)
	require.NoError(t, err)
	r := newReceiver(t, db, webhook.Options{Timeout: 2 * time.Second})
	r.Handle(completed, effect)
	r.HandleBatch(completed, effectBatch())
	require.Equal(t, failed, send(t, r, event("evt_1", completed)))
	require.Zero(t, countEffects(t, db))
	require.NoError(t, gate.Rollback())
	eventually(t, "the commit", func() bool { return countEffects(t, db) == 1 })
	eventually(t, "a duplicate", func() bool {
		return send(t, r, event("evt_1", completed)) == done(webhook.Duplicate)
	})
	require.Equal(t, 1, countEffects(t, db))
}

// Each event of two replicas is processed once, whatever the role's isolation.
func TestHandleBatch_TwoReplicas(t *testing.T) {
	t.Parallel()
	for _, isolation := range []string{"read committed", "repeatable read", "serializable"} {
		t.Run(isolation, func(t *testing.T) {
			t.Parallel()
			url := testdb.Direct(t, testdb.URL(t), "a prepared statement is the session's")
			var hosts []*webhook.Receiver
			var db *sql.DB
			for _, driver := range []testdb.Driver{testdb.PQ, testdb.PGX} {
				db = testdb.Open(t, driver, url)
				setIsolation(t, db, isolation)
				r := newReceiver(t, db, webhook.Options{Prepare: true, Timeout: longer})
				r.Handle(completed, effect)
				r.HandleBatch(completed, effectBatch())
				hosts = append(hosts, r)
			}
			effects(t, db)
			const events = 60
			answers := make(chan answer, 2*events)
			for _, host := range hosts {
				for _, n := range rand.Perm(events) {
					go func() { answers <- send(t, host, event(fmt.Sprintf("evt_%d", n), completed)) }()
				}
			}
			outcomes := map[string]int{}
			for range 2 * events {
				a := within(t, answers, "an answer")
				require.Equal(t, http.StatusOK, a.Status)
				outcomes[a.Outcome]++
			}
			require.Equal(t, map[string]int{"processed": events, "duplicate": events}, outcomes)
			require.Equal(t, events, countEffects(t, db))
		})
	}
}

func TestHandleBatch_RequiresHandler(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, noDatabase(t), webhook.Options{})
	require.Panics(t, func() { r.HandleBatch(completed, effectBatch()) })
	r.Handle(completed, effect)
	require.Panics(t, func() { r.HandleBatch(completed, webhook.Batch{}) })
	r.HandleBatch(completed, effectBatch())
	require.Panics(t, func() { r.HandleBatch(completed, effectBatch()) })
}
