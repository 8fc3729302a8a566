package webhook_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

// Events with a valid signature for another mode or account have no effect.
func TestFilter_OtherModeOrAccount(t *testing.T) {
	t.Parallel()
	const test, live, connected = `"livemode":false`, `"livemode":true`, `"livemode":true,"account":"acct_1"`
	for name, c := range map[string]struct {
		opts   webhook.Options
		fields string
		why    webhook.Reason // "" is handled
	}{
		"test on a live host": {webhook.Options{Mode: webhook.LiveMode}, test, webhook.ReasonTestMode},
		"no mode on a live host": {webhook.Options{Mode: webhook.LiveMode}, `"livemode":null`,
			webhook.ReasonTestMode},
		"live on a live host": {webhook.Options{Mode: webhook.LiveMode}, live, ""},
		"live on a test host": {webhook.Options{Mode: webhook.TestMode}, live, webhook.ReasonLiveMode},
		"test on a test host": {webhook.Options{Mode: webhook.TestMode}, test, ""},
		"test on any host":    {webhook.Options{}, test, ""},
		"live on any host":    {webhook.Options{}, live, ""},
		"another account":     {webhook.Options{}, connected, webhook.ReasonOtherAccount},
		"another account than listed": {webhook.Options{Accounts: []string{"acct_2", "acct_11"}}, connected,
			webhook.ReasonOtherAccount},
		"a listed account":         {webhook.Options{Accounts: []string{"acct_2", "acct_1"}}, connected, ""},
		"any account":              {webhook.Options{Accounts: []string{webhook.AnyAccount}}, connected, ""},
		"one's own among accounts": {webhook.Options{Accounts: []string{"acct_2"}}, live, ""},
		"a listed account's test event": {webhook.Options{Mode: webhook.TestMode, Accounts: []string{"acct_1"}},
			connected, webhook.ReasonLiveMode},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			effects(t, db)
			var log lines
			var seen []webhook.Delivery
			c.opts.Logger = log.logger()
			c.opts.Observe = func(_ context.Context, d webhook.Delivery) { seen = append(seen, d) }
			r := newReceiver(t, db, c.opts)
			r.Handle(completed, effect)
			payload := []byte(`{"id":"evt_1","type":"checkout.session.completed",` + c.fields +
				`,"data":{"object":{"id":"cs_1"}}}`)
			want, effects := webhook.Processed, 1
			if c.why != "" {
				want, effects = webhook.Ignored, 0
			}
			require.Equal(t, done(want), send(t, r, payload))
			require.Equal(t, done(webhook.Duplicate), send(t, r, payload))
			require.Equal(t, effects, countEffects(t, db))
			e := entry(t, db, "evt_1")
			require.Equal(t, want, e.Outcome)
			require.Equal(t, c.why, e.Reason)
			require.False(t, e.ProcessedAt.IsZero())
			require.Equal(t, c.why, seen[0].Reason)
			require.Equal(t, http.StatusOK, seen[0].Status)
			stats := r.Stats()
			if c.why != "" {
				require.EqualValues(t, 1, stats.Reasons[c.why])
				require.EqualValues(t, 1, stats.Ignored, "one of the ignored")
				require.Equal(t, string(c.why), log.all(t)[0]["reason"])
				require.Equal(t, "WARN", log.all(t)[0]["level"])
			}
			require.Equal(t, stats.Received, stats.Processed+stats.Ignored+stats.Duplicates)
		})
	}
}

// An event that was unmatched before the mode was set has no effect when it is retried.
func TestFilter_RetryOfOtherMode(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	effects(t, db)
	r := newReceiver(t, db, webhook.Options{})
	r.Handle(completed, func(c context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		return webhook.Unmatched, nil
	})
	require.Equal(t, done(webhook.Unmatched), send(t, r, event("evt_1", completed)))

	_, err := db.ExecContext(t.Context(), dueNow)
	require.NoError(t, err)
	r = newReceiver(t, db, webhook.Options{Mode: webhook.LiveMode})
	r.Handle(completed, effect)
	_, err = r.RetryWaiting(t.Context())
	require.NoError(t, err)
	require.Zero(t, countEffects(t, db))
	require.Equal(t, webhook.Unmatched, entry(t, db, "evt_1").Outcome, "left to replicas of the other mode")
}
