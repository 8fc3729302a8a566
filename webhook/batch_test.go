package webhook_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

// effectBatch settles all events but those whose id ends in "_odd".
func effectBatch(ctx context.Context, tx webhook.Tx, events []webhook.BatchEvent) ([]string, error) {
	var settled []string
	for _, w := range events {
		if strings.HasSuffix(w.Event.ID, "_odd") {
			continue
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO public.effects (event_id) VALUES ($1::text)`,
			w.Event.ID); err != nil {
			return nil, err
		}
		settled = append(settled, w.Event.ID)
	}
	return settled, nil
}

// batchFixture is a receiver whose first two batches wait for release, so that what is
// sent meanwhile forms the next batch.
type batchFixture struct {
	*webhook.Receiver
	t       *testing.T
	db      *sql.DB
	begun   chan struct{}
	release chan struct{}
	answers map[string]chan answer

	mu    sync.Mutex
	sizes []int
}

func newBatchFixture(t *testing.T, db *sql.DB, opts webhook.Options, one webhook.Handler,
	many webhook.BatchHandler) *batchFixture {
	t.Helper()
	c := &batchFixture{
		Receiver: newReceiver(t, db, opts), t: t, db: db, begun: make(chan struct{}, 2), release: make(chan struct{}),
		answers: map[string]chan answer{},
	}
	effects(t, db)
	c.Handle(completed, one)
	c.HandleBatch(completed, func(ctx context.Context, tx webhook.Tx,
		events []webhook.BatchEvent) ([]string, error) {
		c.mu.Lock()
		c.sizes = append(c.sizes, len(events))
		first := len(c.sizes) <= 2
		c.mu.Unlock()
		if first {
			c.begun <- struct{}{}
			<-c.release
			return effectBatch(ctx, tx, events)
		}
		return many(ctx, tx, events)
	})
	for _, id := range []string{"evt_first", "evt_second"} {
		c.deliver(id)
		within(t, c.begun, "a batch")
	}
	return c
}

func (c *batchFixture) deliver(id string) {
	answered := make(chan answer, 1)
	c.answers[id] = answered
	go func() { answered <- send(c.t, c, event(id, completed)) }()
}

// sendBatch delivers events as one batch and returns the responses.
func (c *batchFixture) sendBatch(ids ...string) map[string]answer {
	c.t.Helper()
	for n, id := range ids {
		c.deliver(id)
		eventually(c.t, "a place in the queue", func() bool { return c.QueuedForBatch(completed) == n+1 })
	}
	close(c.release)
	got := map[string]answer{}
	for id, answered := range c.answers {
		got[id] = within(c.t, answered, "the answer of "+id)
	}
	return got
}

func numbered(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("evt_%02d", i)
	}
	return ids
}

func TestHandleBatch_OneTransaction(t *testing.T) {
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
				c := newBatchFixture(t, testdb.Open(t, driver, url), webhook.Options{Logger: log.logger(),
					KeepPayload: true,
					Prepare:     prepare}, failing(errors.New("by itself")), effectBatch)
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
				require.Equal(t, []int{1, 1, 10}, c.sizes)
				require.Equal(t, 12, countEffects(t, c.db))
				require.Equal(t, int64(12), c.Stats().Processed)
				require.Len(t, log.all(t), 12)
				require.Equal(t, done(webhook.Duplicate), send(t, c, event("evt_03", completed)))
			})
		}
	}
}

func TestHandleBatch_UnsettledEventsAreHandledAlone(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	c := newBatchFixture(t, db, webhook.Options{},
		func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
			if ev.ID == "evt_unmatched_odd" {
				return webhook.Unmatched, nil
			}
			return effect(ctx, tx, ev)
		}, effectBatch)
	// It has a row, so it is not new and gets its own transaction.
	_, err := db.ExecContext(t.Context(), `INSERT INTO booking_platform.payment_events (receiver, stripe_event_id,
		type, api_version, outcome) VALUES ('default', 'evt_failed', 'x', 'x', 'failed')`)
	require.NoError(t, err)
	got := c.sendBatch("evt_1", "evt_2_odd", "evt_unmatched_odd", "evt_failed", "evt_3")
	require.Equal(t, done(webhook.Unmatched), got["evt_unmatched_odd"])
	delete(got, "evt_unmatched_odd")
	for id, a := range got {
		require.Equal(t, done(webhook.Processed), a, id)
	}
	require.Equal(t, []int{1, 1, 4}, c.sizes)
	require.Equal(t, 6, countEffects(t, db))
	require.Equal(t, 1, entry(t, db, "evt_2_odd").Attempts)
	require.Equal(t, 1, entry(t, db, "evt_unmatched_odd").Attempts)
	require.True(t, entry(t, db, "evt_unmatched_odd").ProcessedAt.IsZero())
	require.Equal(t, 2, entry(t, db, "evt_failed").Attempts)
}

func TestHandleBatch_FailedBatchIsHandledAlone(t *testing.T) {
	t.Parallel()
	after := func(fail func(ctx context.Context, tx webhook.Tx) ([]string, error)) webhook.BatchHandler {
		return func(ctx context.Context, tx webhook.Tx, events []webhook.BatchEvent) ([]string, error) {
			if _, err := effectBatch(ctx, tx, events); err != nil {
				return nil, err
			}
			return fail(ctx, tx)
		}
	}
	for name, many := range map[string]webhook.BatchHandler{
		"an error": after(func(context.Context, webhook.Tx) ([]string, error) {
			return nil,
				errors.New("out of tea")
		}),
		"a panic": after(func(context.Context, webhook.Tx) ([]string, error) { panic("out of tea") }),
		"the end of its goroutine": after(func(context.Context,
			webhook.Tx) ([]string, error) {
			runtime.Goexit()
			return nil, nil
		}),
		"an error of the database": after(func(ctx context.Context, tx webhook.Tx) ([]string, error) {
			_, err := tx.ExecContext(ctx, `SELECT 1 / 0`)
			return nil, err
		}),
		"an error that it hides": func(ctx context.Context, tx webhook.Tx,
			events []webhook.BatchEvent) ([]string, error) {
			settled, err := effectBatch(ctx, tx, events)
			_, _ = tx.ExecContext(ctx, `SELECT 1 / 0`)
			return settled, err
		},
		"the commit": func(ctx context.Context, tx webhook.Tx, events []webhook.BatchEvent) ([]string, error) {
			if _, err := tx.ExecContext(ctx,
				`CREATE TABLE public.once (n integer UNIQUE DEFERRABLE INITIALLY DEFERRED)`); err != nil {
				return nil, err
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO public.once VALUES (1), (1)`); err != nil {
				return nil, err
			}
			return effectBatch(ctx, tx, events)
		},
		"ids that were not among them": after(func(context.Context,
			webhook.Tx) ([]string, error) {
			return []string{"evt_other"}, nil
		}),
		"running out of time": after(func(ctx context.Context, _ webhook.Tx) ([]string, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newBatchFixture(t, testdb.New(t), webhook.Options{Timeout: 15 * time.Second},
				func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
					if ev.ID == "evt_bad" {
						return "", errors.New("out of tea")
					}
					return effect(ctx, tx, ev)
				}, many)
			got := c.sendBatch("evt_1", "evt_bad", "evt_2")
			require.Equal(t, failed, got["evt_bad"])
			require.Equal(t, webhook.Failed, entry(t, c.db, "evt_bad").Outcome)
			for _, id := range []string{"evt_first", "evt_second", "evt_1", "evt_2"} {
				require.Equal(t, done(webhook.Processed), got[id], id)
				require.Equal(t, 1, entry(t, c.db, id).Attempts)
			}
			require.Equal(t, 4, countEffects(t, c.db))
		})
	}
}

func TestHandleBatch_RunningBatchesHang(t *testing.T) {
	t.Parallel()
	c := newBatchFixture(t, testdb.New(t), webhook.Options{Timeout: 10 * time.Second}, effect, effectBatch)
	require.Equal(t, done(webhook.Processed), send(t, c, event("evt_1", completed)))
	require.Zero(t, c.QueuedForBatch(completed))
	for id, a := range c.sendBatch() {
		require.Equal(t, done(webhook.Processed), a, id)
	}
}

func TestHandleBatch_TwoReplicas(t *testing.T) {
	t.Parallel()
	url := testdb.Direct(t, testdb.URL(t), "a prepared statement is the session's")
	var hosts []*webhook.Receiver
	var db *sql.DB
	for _, driver := range []testdb.Driver{testdb.PQ, testdb.PGX} {
		db = testdb.Open(t, driver, url)
		r := newReceiver(t, db, webhook.Options{Prepare: true})
		r.Handle(completed, effect)
		r.HandleBatch(completed, effectBatch)
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
}

func TestHandleBatch_RequiresHandler(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, noDatabase(t), webhook.Options{})
	require.Panics(t, func() { r.HandleBatch(completed, effectBatch) })
	r.Handle(completed, effect)
	require.Panics(t, func() { r.HandleBatch(completed, nil) })
	r.HandleBatch(completed, effectBatch)
	require.Panics(t, func() { r.HandleBatch(completed, effectBatch) })
}
