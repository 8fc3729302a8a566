package webhook_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

// sequences are of 1 to n outcomes that a handler may return.
func sequences(n int) (all [][]webhook.Outcome) {
	last := [][]webhook.Outcome{{}}
	for range n {
		var longer [][]webhook.Outcome
		for _, s := range last {
			for _, o := range []webhook.Outcome{webhook.Processed, webhook.Parked, webhook.Unmatched, webhook.Ignored} {
				longer = append(longer, append(s[:len(s):len(s)], o))
			}
		}
		all, last = append(all, longer...), longer
	}
	return all
}

// The first handler that takes the event has the only effects. Every handler writes
// before it returns.
func TestHandle_SequencesOfOutcomes(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	effects(t, db)
	r := newReceiver(t, db, webhook.Options{})
	for n, sequence := range sequences(3) {
		want, called := webhook.Ignored, len(sequence)
		taken := false
		for i, o := range sequence {
			if o == webhook.Processed || o == webhook.Parked {
				want, called, taken = o, i+1, true
				break
			}
			if o == webhook.Unmatched {
				want = o
			}
		}
		eventType, id := fmt.Sprint("type.", n), fmt.Sprint("evt_", n)
		var calls []string
		for i, outcome := range sequence {
			name := fmt.Sprint(id, "_", i)
			r.Handle(eventType, func(ctx context.Context, tx webhook.Tx, _ webhook.Event) (webhook.Outcome, error) {
				calls = append(calls, name)
				_, err := tx.ExecContext(ctx, `INSERT INTO public.effects (event_id) VALUES ($1::text)`, name)
				return outcome, err
			})
		}
		require.Equal(t, done(want), send(t, r, event(id, eventType)), "%v", sequence)
		require.Len(t, calls, called, "%v", sequence)
		e := entry(t, db, id)
		require.Equal(t, want, e.Outcome)
		require.Equal(t, 1, e.Attempts)
		require.Equal(t, want == webhook.Ignored, e.Reason == webhook.ReasonNotOurs)
		require.Equal(t, want == webhook.Unmatched, e.ProcessedAt.IsZero())
		require.Equal(t, want != webhook.Processed, e.Payload != "")
		var left []string
		rows, err := db.QueryContext(t.Context(), `DELETE FROM public.effects RETURNING event_id`)
		require.NoError(t, err)
		for rows.Next() {
			var name string
			require.NoError(t, rows.Scan(&name))
			left = append(left, name)
		}
		require.NoError(t, rows.Err())
		if taken {
			require.Equal(t, calls[called-1:], left, "%v", sequence)
		} else {
			require.Empty(t, left, "%v", sequence)
		}
	}
}

// A delivery of an unmatched event calls every handler again, and one that is overdue
// ends.
func TestHandle_UnmatchedAgain(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	effects(t, db)
	r := newReceiver(t, db, webhook.Options{})
	mine := webhook.Unmatched
	r.Handle(completed, func(context.Context, webhook.Tx, webhook.Event) (webhook.Outcome, error) {
		return webhook.Ignored, nil
	})
	r.Handle(completed, func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		if _, err := effect(ctx, tx, ev); err != nil {
			return "", err
		}
		return mine, nil
	})
	require.Equal(t, done(webhook.Unmatched), send(t, r, event("evt_1", completed)))
	require.Equal(t, done(webhook.Unmatched), send(t, r, event("evt_1", completed)))
	require.Zero(t, countEffects(t, db))
	require.Equal(t, 2, entry(t, db, "evt_1").Attempts)
	mine = webhook.Processed
	require.Equal(t, done(webhook.Processed), send(t, r, event("evt_1", completed)))
	require.Equal(t, done(webhook.Duplicate), send(t, r, event("evt_1", completed)))
	require.Equal(t, 1, countEffects(t, db))

	mine = webhook.Unmatched
	require.Equal(t, done(webhook.Unmatched), send(t, r, event("evt_2", completed)))
	_, err := db.ExecContext(t.Context(), `UPDATE booking_platform.payment_events
		SET received_at = received_at - interval '5 days' WHERE stripe_event_id = 'evt_2'`)
	require.NoError(t, err)
	require.Equal(t, done(webhook.Ignored), send(t, r, event("evt_2", completed)))
	require.Equal(t, webhook.ReasonNotOurs, entry(t, db, "evt_2").Reason)
}

// Two replicas whose first handlers do not know the event have one effect.
func TestHandle_TwoReplicas(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	effects(t, db)
	var hosts []*webhook.Receiver
	for range 2 {
		r := newReceiver(t, db, webhook.Options{})
		r.Handle(completed, func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
			_, err := effect(ctx, tx, ev)
			return webhook.Unmatched, err
		})
		r.Handle(completed, effect)
		hosts = append(hosts, r)
	}
	var all sync.WaitGroup
	for n := range 40 {
		for _, r := range hosts {
			all.Go(func() {
				if a := send(t, r, event(fmt.Sprint("evt_", n), completed)); a.Status != 200 {
					t.Errorf("%d: %+v", n, a)
				}
			})
		}
	}
	all.Wait()
	require.Equal(t, 40, countEffects(t, db))
}

// A handler for other types takes new events, and those that were ignored before.
func TestHandleOther(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	effects(t, db)
	r := newReceiver(t, db, webhook.Options{Mode: webhook.TestMode})
	r.Handle(completed, func(context.Context, webhook.Tx, webhook.Event) (webhook.Outcome, error) {
		return webhook.Unmatched, nil
	})
	require.Equal(t, done(webhook.Ignored), send(t, r, event("evt_1", "invoice.paid")))
	live := strings.Replace(string(event("evt_live", "invoice.paid")), `"livemode":false`, `"livemode":true`, 1)
	require.Equal(t, done(webhook.Ignored), send(t, r, []byte(live)))
	settled, err := r.RetryWaiting(t.Context())
	require.NoError(t, err)
	require.Zero(t, settled)

	r.HandleOther(func(context.Context, webhook.Tx, webhook.Event) (webhook.Outcome, error) {
		return webhook.Ignored, nil
	})
	r.HandleOther(effect)
	require.Equal(t, done(webhook.Processed), send(t, r, event("evt_2", "customer.created")))
	require.Equal(t, done(webhook.Unmatched), send(t, r, event("evt_3", completed)), "a type with a handler")
	_, err = db.ExecContext(t.Context(), `UPDATE booking_platform.payment_events
		SET retry_at = statement_timestamp() WHERE stripe_event_id <> 'evt_3'`)
	require.NoError(t, err)
	settled, err = r.RetryWaiting(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, settled)
	require.Equal(t, webhook.Processed, entry(t, db, "evt_1").Outcome)
	require.Equal(t, webhook.Ignored, entry(t, db, "evt_live").Outcome)
	require.Equal(t, 2, countEffects(t, db))
}

// What the batch leaves goes through the handlers of the type, in both orders.
func TestHandleBatch_SeveralHandlers(t *testing.T) {
	t.Parallel()
	of := func(name string) webhook.Handler {
		return func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
			outcome, err := effect(ctx, tx, ev)
			if !strings.Contains(ev.ID, name) {
				outcome = webhook.Ignored
			}
			return outcome, err
		}
	}
	for _, order := range [][]string{{"batched", "other"}, {"other", "batched"}} {
		t.Run(order[0]+" first", func(t *testing.T) {
			t.Parallel()
			b := effectBatch()
			b.Choose = strings.Replace(b.Choose, "WHERE", "WHERE t.event_id NOT LIKE '%other%' AND t.event_id <> 'evt_foreign' AND", 1)
			c := newBatchFixture(t, testdb.New(t), webhook.Options{Timeout: longer}, of(order[0]), b)
			c.Handle(completed, of(order[1]))
			got := c.sendBatch("evt_batched_1", "evt_other_1", "evt_foreign", "evt_batched_2", "evt_other_2")
			for id, a := range got {
				want := webhook.Processed
				if id == "evt_foreign" {
					want = webhook.Ignored
				}
				require.Equal(t, done(want), a, id)
			}
			require.Equal(t, 6, countEffects(t, c.db))
		})
	}
}
