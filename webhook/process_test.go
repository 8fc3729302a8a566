package webhook_test

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

// failing has an effect, and then fails.
func failing(cause error) webhook.Handler {
	return func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		return webhook.Processed, cause
	}
}

// However a handler fails: no effect, 500, the error in the ledger, and the next delivery
// does the work.
func TestProcess_HandlerFails(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	effects(t, db)
	for name, c := range map[string]struct {
		fail  func() (webhook.Outcome, error)
		cause string
	}{
		"an error": {func() (webhook.Outcome, error) { return "", errors.New("out of tea") },
			"out of tea"},
		"an error and an outcome": {func() (webhook.Outcome, error) {
			return webhook.Parked,
				errors.New("out of tea")
		}, "out of tea"},
		"a panic":          {func() (webhook.Outcome, error) { panic("out of tea") }, "panic: out of tea"},
		"a panic with nil": {func() (webhook.Outcome, error) { panic(nil) }, "panic"},
		"the end of its goroutine": {func() (webhook.Outcome, error) { runtime.Goexit(); return "", nil },
			"ended its goroutine"},
		"no outcome": {func() (webhook.Outcome, error) { return "", nil }, `"" is no outcome`},
		"Duplicate":  {func() (webhook.Outcome, error) { return webhook.Duplicate, nil }, `"duplicate" is no outcome`},
		"Failed":     {func() (webhook.Outcome, error) { return webhook.Failed, nil }, `"failed" is no outcome`},
		"Rejected":   {func() (webhook.Outcome, error) { return webhook.Rejected, nil }, `"rejected" is no outcome`},
	} {
		t.Run(name, func(t *testing.T) {
			id := "evt_" + strings.ReplaceAll(name, " ", "_")
			before := countEffects(t, db)
			var log lines
			r := newReceiver(t, db, webhook.Options{Logger: log.logger()})
			broken := true
			r.Handle(completed, func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
				if _, err := effect(ctx, tx, ev); err != nil {
					return "", err
				}
				if broken {
					return c.fail()
				}
				return webhook.Processed, nil
			})
			require.Equal(t, failed, send(t, r, event(id, completed)))
			require.Equal(t, before, countEffects(t, db))
			e := entry(t, db, id)
			require.Equal(t, webhook.Failed, e.Outcome)
			require.Contains(t, e.LastError, c.cause)
			require.Contains(t, log.String(), `"outcome":"failed"`)
			require.Zero(t, db.Stats().InUse, "the connection is back in the pool")

			broken = false
			require.Equal(t, done(webhook.Processed), send(t, r, event(id, completed)))
			require.Equal(t, before+1, countEffects(t, db))
			require.Equal(t, webhook.Stats{Received: 2, Processed: 1, Errors: 1}, sums(r))
		})
	}
}

func TestProcess_PanicIsLoggedWithStack(t *testing.T) {
	t.Parallel()
	var log lines
	r := newReceiver(t, testdb.New(t), webhook.Options{Logger: log.logger()})
	r.Handle(completed, panickingHandler)
	require.Equal(t, failed, send(t, r, event("evt_1", completed)))
	line := log.all(t)[0]
	require.Equal(t, "webhook: panic: boom", line["error"])
	require.Contains(t, line["stack"], "panickingHandler")
}

func panickingHandler(context.Context, webhook.Tx, webhook.Event) (webhook.Outcome, error) {
	panic("boom")
}

// After a failed statement Postgres rolls back at COMMIT, which must not be answered 200.
func TestProcess_HandlerIgnoresDatabaseError(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		effects(t, db)
		r := newReceiver(t, db, webhook.Options{})
		broken := true
		r.Handle(completed, func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
			if broken {
				_, _ = tx.ExecContext(ctx, `SELECT no_such_function()`)
				return webhook.Processed, nil
			}
			return effect(ctx, tx, ev)
		})
		require.Equal(t, failed, send(t, r, event("evt_1", completed)))
		require.Equal(t, webhook.Failed, entry(t, db, "evt_1").Outcome)
		broken = false
		require.Equal(t, done(webhook.Processed), send(t, r, event("evt_1", completed)))
		require.Equal(t, 1, countEffects(t, db))
	})
}

// What a handler wrote before it returned Unmatched is rolled back.
func TestProcess_ParkedCommitsAndUnmatchedDoesNot(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	effects(t, db)
	r := newReceiver(t, db, webhook.Options{})
	for _, outcome := range []webhook.Outcome{webhook.Unmatched, webhook.Parked} {
		r.Handle(string(outcome), func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
			_, err := effect(ctx, tx, ev)
			return outcome, err
		})
		require.Equal(t, done(outcome), send(t, r, event("evt_"+string(outcome), string(outcome))))
	}
	require.Equal(t, 1, countEffects(t, db))
}

// The ledger has the last error, also of an event that was unmatched before.
func TestProcess_UnmatchedEventFails(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	r := newReceiver(t, db, webhook.Options{})
	var fail error
	r.Handle(completed, func(context.Context, webhook.Tx, webhook.Event) (webhook.Outcome, error) {
		return webhook.Unmatched, fail
	})
	require.Equal(t, done(webhook.Unmatched), send(t, r, event("evt_1", completed)))
	fail = errors.New("no luck")
	require.Equal(t, http.StatusInternalServerError, send(t, r, event("evt_1", completed)).Status)
	entries, err := webhook.NewLedger(db, "").List(t.Context(), webhook.ListOptions{Outcome: webhook.Failed})
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, 2, entries[0].Attempts)
	require.Contains(t, entries[0].LastError, "no luck")
	fail = nil
	require.Equal(t, done(webhook.Unmatched), send(t, r, event("evt_1", completed)))
}

func TestProcess_UnmatchedBecomesProcessed(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	r := newReceiver(t, db, webhook.Options{})
	there := false
	r.Handle(completed, func(context.Context, webhook.Tx, webhook.Event) (webhook.Outcome, error) {
		if !there {
			return webhook.Unmatched, nil
		}
		return webhook.Processed, nil
	})
	require.Equal(t, done(webhook.Unmatched), send(t, r, event("evt_1", completed)))
	there = true
	require.Equal(t, done(webhook.Processed), send(t, r, event("evt_1", completed)))
	require.Equal(t, done(webhook.Duplicate), send(t, r, event("evt_1", completed)))
	e := entry(t, db, "evt_1")
	require.Equal(t, 2, e.Attempts)
	require.False(t, e.ProcessedAt.IsZero())
	require.Empty(t, e.Payload)
}

// A transaction that Postgres rolled back for another is repeated a few times.
func TestProcess_RetriesTransaction(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		effects(t, db)
		for state, heals := range map[string]bool{"40001": true, "40P01": true, "23505": false} {
			var log lines
			r := newReceiver(t, db, webhook.Options{Logger: log.logger()})
			var calls, failures atomic.Int64
			r.Handle(completed, func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
				calls.Add(1)
				if _, err := effect(ctx, tx, ev); err != nil {
					return "", err
				}
				if failures.Add(-1) < 0 {
					return webhook.Processed, nil
				}
				_, err := tx.ExecContext(ctx, `DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = '`+state+`'; END $$`)
				return webhook.Processed, err
			})

			before := countEffects(t, db)
			failures.Store(2)
			want, runs := done(webhook.Processed), 3
			if !heals {
				want, runs = failed, 1
			}
			require.Equal(t, want, send(t, r, event("evt_heals_"+state, completed)), state)
			require.EqualValues(t, runs, calls.Load(), state)

			calls.Store(0)
			failures.Store(1000)
			require.Equal(t, failed, send(t, r, event("evt_fails_"+state, completed)), state)
			if heals {
				require.EqualValues(t, 3, calls.Load(), "bounded")
				require.Equal(t, before+1, countEffects(t, db), "only the attempt that was committed counts")
			}
			written := log.all(t)
			require.Equal(t, state, written[len(written)-1]["sqlstate"])
		}
	})
}

// Two handlers that lock the same rows in opposite order: both are answered 200.
func TestProcess_DeadlockIsRetried(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	effects(t, db)
	_, err := db.ExecContext(t.Context(), `INSERT INTO public.effects (event_id) VALUES ('a'), ('b')`)
	require.NoError(t, err)
	r := newReceiver(t, db, webhook.Options{})
	lock := func(ctx context.Context, tx webhook.Tx, id string) error {
		_, err := tx.ExecContext(ctx, `UPDATE public.effects SET event_id = event_id WHERE event_id = $1::text`, id)
		return err
	}
	var bothHold sync.WaitGroup
	bothHold.Add(2)
	opposed := func(first, second string) webhook.Handler {
		var once sync.Once
		return func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
			if err := lock(ctx, tx, first); err != nil {
				return "", err
			}
			once.Do(func() { bothHold.Done(); bothHold.Wait() })
			return webhook.Processed, lock(ctx, tx, second)
		}
	}
	r.Handle("ab", opposed("a", "b"))
	r.Handle("ba", opposed("b", "a"))
	answers := make(chan answer, 2)
	go func() { answers <- send(t, r, event("evt_1", "ab")) }()
	go func() { answers <- send(t, r, event("evt_2", "ba")) }()
	require.Equal(t, done(webhook.Processed), within(t, answers, "the first of the two"))
	require.Equal(t, done(webhook.Processed), within(t, answers, "the second of the two"))
}

// M9.
func TestProcess_HandlerReturnsIgnored(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	r := newReceiver(t, db, webhook.Options{})
	r.Handle(completed, func(context.Context, webhook.Tx,
		webhook.Event) (webhook.Outcome, error) {
		return webhook.Ignored, nil
	})
	require.Equal(t, done(webhook.Ignored), send(t, r, event("evt_1", completed)))
	require.Equal(t, done(webhook.Duplicate), send(t, r, event("evt_1", completed)))
	e := entry(t, db, "evt_1")
	require.Equal(t, webhook.Ignored, e.Outcome)
	require.Equal(t, webhook.ReasonNotOurs, e.Reason)
	require.Zero(t, retry(t, db, r), "another replica's handler does not take it up either")
	stats := r.Stats()
	require.EqualValues(t, 1, stats.Ignored)
	require.EqualValues(t, 1, stats.Reasons[webhook.ReasonNotOurs])
	_, err := db.ExecContext(t.Context(), `UPDATE booking_platform.payment_events
		SET received_at = received_at - interval '8 days', processed_at = processed_at - interval '8 days'`)
	require.NoError(t, err)
	_, err = r.DeleteOld(t.Context())
	require.NoError(t, err)
	require.Empty(t, entry(t, db, "evt_1").Payload)
}
