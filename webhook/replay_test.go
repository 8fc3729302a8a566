package webhook_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

// oneOfEach inserts evt_<outcome> for each outcome, and returns a receiver that processes
// all.
func oneOfEach(t testing.TB, db *sql.DB, opts webhook.Options) *webhook.Receiver {
	t.Helper()
	effects(t, db)
	r := newReceiver(t, db, webhook.Options{KeepPayload: true})
	later := newReceiver(t, db, opts)
	outcomes := []webhook.Outcome{webhook.Failed, webhook.Unmatched, webhook.Parked, webhook.Ignored, webhook.Processed}
	for i, outcome := range outcomes {
		handle := func(context.Context, webhook.Tx, webhook.Event) (webhook.Outcome, error) { return outcome, nil }
		switch outcome {
		case webhook.Failed:
			handle = failing(errors.New("no luck"))
		case webhook.Processed:
			handle = effect
		}
		if outcome != webhook.Ignored {
			r.Handle(string(outcome), handle)
		}
		later.Handle(string(outcome), effect)
		send(t, r, event("evt_"+string(outcome), string(outcome)))
		_, err := db.ExecContext(t.Context(), `UPDATE booking_platform.payment_events
			SET received_at = timestamptz '2026-11-01 00:00+00' + $2::integer * interval '1 hour'
			WHERE stripe_event_id = $1::text`, "evt_"+string(outcome), i)
		require.NoError(t, err)
	}
	require.Equal(t, 1, countEffects(t, db))
	return later
}

func became(t testing.TB, r *webhook.Receiver, opts webhook.ReplayOptions) map[string]string {
	t.Helper()
	all, err := r.Replay(t.Context(), opts)
	require.NoError(t, err)
	out := map[string]string{}
	for _, one := range all {
		require.NoError(t, one.Err)
		out[one.ID] = string(one.Was) + ">" + string(one.Outcome) + string(one.Skipped)
	}
	require.Len(t, out, len(all), "none twice")
	return out
}

// A replay processes failed and unmatched events by default, parked and ignored ones if
// listed, and processed ones never.
func TestReplay_Outcomes(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		r := oneOfEach(t, db, webhook.Options{})
		want := map[string]string{"evt_failed": "failed>", "evt_unmatched": "unmatched>"}
		require.Equal(t, want, became(t, r, webhook.ReplayOptions{DryRun: true}))
		require.Equal(t, 1, countEffects(t, db), "a dry run does nothing")
		require.Equal(t, 1, entry(t, db, "evt_failed").Attempts)

		require.Equal(t, map[string]string{
			"evt_parked": "parked>outcome", "evt_ignored": "ignored>outcome", "evt_processed": "processed>outcome",
			"evt_none": ">unknown", "": ">unknown",
		}, became(t, r, webhook.ReplayOptions{IDs: []string{"evt_parked", "evt_ignored", "evt_processed", "evt_none",
			""}}))
		require.Equal(t, 1, countEffects(t, db))

		require.Equal(t, map[string]string{"evt_failed": "failed>processed", "evt_unmatched": "unmatched>processed"},
			became(t, r, webhook.ReplayOptions{}))
		require.Equal(t, 3, countEffects(t, db))
		e := entry(t, db, "evt_failed")
		require.Equal(t, webhook.Processed, e.Outcome)
		require.Equal(t, 2, e.Attempts)
		require.Empty(t, e.LastError)
		require.Empty(t, became(t, r, webhook.ReplayOptions{}), "nothing waits any more")

		named := webhook.ReplayOptions{Outcomes: []webhook.Outcome{webhook.Parked, webhook.Ignored}}
		require.Equal(t, map[string]string{"evt_parked": "parked>processed", "evt_ignored": "ignored>processed"},
			became(t, r, named))
		require.Equal(t, 5, countEffects(t, db))
		for _, never := range []webhook.Outcome{webhook.Processed, webhook.Duplicate, webhook.Rejected, "",
			"failed,processed"} {
			_, err := r.Replay(t.Context(), webhook.ReplayOptions{Outcomes: []webhook.Outcome{never}})
			require.Error(t, err, never)
		}
		require.Equal(t, 5, countEffects(t, db))
	})
}

func TestReplay_Filters(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	r := oneOfEach(t, db, webhook.Options{})
	all := []webhook.Outcome{webhook.Failed, webhook.Unmatched, webhook.Parked, webhook.Ignored}
	at := func(hour int) time.Time { return time.Date(2026, 11, 1, hour, 0, 0, 0, time.UTC) }
	ids := func(opts webhook.ReplayOptions) (out []string) {
		opts.DryRun = true
		replayed, err := r.Replay(t.Context(), opts)
		require.NoError(t, err)
		for _, one := range replayed {
			out = append(out, string(one.Was))
		}
		return out
	}
	require.Equal(t, []string{"failed", "unmatched", "parked", "ignored"}, ids(webhook.ReplayOptions{Outcomes: all}),
		"the oldest first")
	require.Equal(t, []string{"failed"}, ids(webhook.ReplayOptions{Outcomes: all, Limit: 1}))
	require.Equal(t, []string{"parked", "ignored"}, ids(webhook.ReplayOptions{Outcomes: all, Since: at(2)}))
	require.Equal(t, []string{"unmatched", "parked"},
		ids(webhook.ReplayOptions{Outcomes: all, Since: at(1), Until: at(3)}))
	require.Equal(t, []string{"parked"}, ids(webhook.ReplayOptions{Outcomes: all, Type: "parked"}))
	require.Equal(t, []string{"ignored", "failed"},
		ids(webhook.ReplayOptions{Outcomes: all, IDs: []string{"evt_ignored", "evt_failed"}}))
}

// A failed replay leaves a parked event as it was; a failed event counts another attempt.
func TestReplay_Fails(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	oneOfEach(t, db, webhook.Options{})
	r := newReceiver(t, db, webhook.Options{})
	r.Handle("parked", failing(errors.New("still no luck")))
	r.Handle("failed", failing(errors.New("still no luck")))
	r.Handle("unmatched", func(context.Context, webhook.Tx,
		webhook.Event) (webhook.Outcome, error) {
		return webhook.Parked, nil
	})
	before := entry(t, db, "evt_parked")
	all, err := r.Replay(t.Context(), webhook.ReplayOptions{Outcomes: []webhook.Outcome{webhook.Parked, webhook.Failed,
		webhook.Unmatched}})
	require.NoError(t, err)
	require.Len(t, all, 3)
	for i, want := range []webhook.Outcome{webhook.Failed, webhook.Parked, webhook.Failed} {
		require.Equal(t, want, all[i].Outcome, all[i].ID)
		require.Equal(t, want == webhook.Parked, all[i].Settled())
		require.Equal(t, want == webhook.Failed, all[i].Err != nil)
	}
	require.Equal(t, before, entry(t, db, "evt_parked"))
	require.Equal(t, 2, entry(t, db, "evt_failed").Attempts)
	require.Contains(t, entry(t, db, "evt_failed").LastError, "still no luck")
	require.NotEmpty(t, entry(t, db, "evt_unmatched").Payload)
}

func TestReplay_NoPayload(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	r := oneOfEach(t, db, webhook.Options{})
	_, err := db.ExecContext(t.Context(),
		`UPDATE booking_platform.payment_events SET payload = NULL WHERE stripe_event_id = 'evt_failed'`)
	require.NoError(t, err)
	want := map[string]string{"evt_failed": "failed>no_payload", "evt_unmatched": "unmatched>processed"}
	require.Equal(t, want, became(t, r, webhook.ReplayOptions{}))
}

// M1: A replay in another mode neither processes nor ends the event.
func TestReplay_OtherMode(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	r := oneOfEach(t, db, webhook.Options{Mode: webhook.LiveMode})
	require.Empty(t, became(t, r, webhook.ReplayOptions{}))
	require.Equal(t, map[string]string{"evt_failed": "failed>no_handler"},
		became(t, r, webhook.ReplayOptions{IDs: []string{"evt_failed"}}))
	require.Equal(t, 1, countEffects(t, db))
	require.Equal(t, webhook.Failed, entry(t, db, "evt_failed").Outcome)
}

// Each event has one effect.
func TestReplay_Concurrent(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	oneOfEach(t, db, webhook.Options{})
	_, err := db.ExecContext(t.Context(), dueNow)
	require.NoError(t, err)
	outcomes := []webhook.Outcome{webhook.Failed, webhook.Unmatched, webhook.Parked, webhook.Ignored}
	var processed atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		r := newReceiver(t, db, webhook.Options{})
		for _, outcome := range outcomes {
			r.Handle(string(outcome), effect)
		}
		wg.Go(func() {
			all, err := r.Replay(t.Context(), webhook.ReplayOptions{Outcomes: outcomes})
			if err != nil {
				t.Error(err)
			}
			for _, one := range all {
				if one.Outcome == webhook.Processed {
					processed.Add(1)
				}
			}
		})
		wg.Go(func() {
			if _, err := r.RetryWaiting(t.Context()); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() { send(t, r, event("evt_failed", "failed")) })
	}
	wg.Wait()
	require.Equal(t, 1+len(outcomes), countEffects(t, db))
	require.LessOrEqual(t, processed.Load(), int64(len(outcomes)))
	for _, outcome := range outcomes {
		require.Equal(t, webhook.Processed, entry(t, db, "evt_"+string(outcome)).Outcome)
	}
}

// A replay that is interrupted returns its results so far.
func TestReplay_ContextEnds(t *testing.T) {
	t.Parallel()
	db := testdb.Open(t, testdb.PQ, testdb.Direct(t, testdb.URL(t), testdb.Cancels))
	oneOfEach(t, db, webhook.Options{})
	r := newReceiver(t, db, webhook.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	r.Handle("failed", func(c context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		cancel()
		return effect(c, tx, ev)
	})
	all, err := r.Replay(ctx, webhook.ReplayOptions{})
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, all, 1)
	require.Equal(t, webhook.Failed, all[0].Outcome)
	require.Equal(t, 1, countEffects(t, db))
}

// An event that Stripe listed is processed once, and again after a failure.
func TestReceive_Outcomes(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	r, err := webhook.New(db, []string{"whsec_x"}, webhook.Options{})
	require.NoError(t, err)
	failure := errors.New("not now")
	calls := 0
	r.Handle("thing.done", func(context.Context, webhook.Tx, webhook.Event) (webhook.Outcome, error) {
		if calls++; calls == 1 {
			return "", failure
		}
		return webhook.Processed, nil
	})
	payload := []byte(`{"id":"evt_1","object":"event","type":"thing.done","data":{"object":{"id":"th_1"}}}`)
	outcome, err := r.Receive(t.Context(), payload)
	require.ErrorIs(t, err, failure)
	require.Equal(t, webhook.Failed, outcome)
	for _, want := range []webhook.Outcome{webhook.Processed, webhook.Duplicate, webhook.Duplicate} {
		outcome, err = r.Receive(t.Context(), payload)
		require.NoError(t, err)
		require.Equal(t, want, outcome)
	}
	require.Equal(t, 2, calls)
	outcome, err = r.Receive(t.Context(), []byte(`{"id":"evt_2","type":"thing.left"}`))
	require.NoError(t, err)
	require.Equal(t, webhook.Ignored, outcome)
	for _, nothing := range []string{"", "null", "[]", `{"id":"evt_3"}`, "<html>"} {
		outcome, err = r.Receive(t.Context(), []byte(nothing))
		var rejected *webhook.RejectedError
		require.ErrorAs(t, err, &rejected, nothing)
		require.Equal(t, webhook.Rejected, outcome)
	}
	entries, err := webhook.NewLedger(db, "").List(t.Context(), webhook.ListOptions{})
	require.NoError(t, err)
	require.Len(t, entries, 2)
}
