package webhook_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

// Each reason has a count, and they add up.
func TestStats_RejectionReasons(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, noDatabase(t), webhook.Options{MaxBody: 1000, MaxBadSignatures: -1})
	payload := event("evt_1", completed)
	signed := func(payload []byte, header string) *http.Request {
		req := request(payload)
		req.Header.Set("Stripe-Signature", header)
		return req
	}
	require.Zero(t, r.Stats().Reasons[webhook.ReasonTooOld])
	for i, c := range []struct {
		reason webhook.Reason
		req    *http.Request
	}{
		{webhook.ReasonSignatureMissing, signed(payload, "")},
		{webhook.ReasonSignatureMalformed, signed(payload, "garbage")},
		{webhook.ReasonSignatureWrong, signed(payload, sign(payload, "x", time.Now()))},
		{webhook.ReasonTooOld, signed(payload, sign(payload, secret, time.Now().Add(-time.Hour)))},
		{webhook.ReasonFuture, signed(payload, sign(payload, secret, time.Now().Add(time.Hour)))},
		{webhook.ReasonNotAnEvent, request([]byte(`{}`))},
		{webhook.ReasonBodyTooLarge, request([]byte(strings.Repeat("x", 1001)))},
	} {
		require.Equal(t, string(c.reason), serve(t, r, c.req).Error)
		stats := r.Stats()
		require.EqualValues(t, 1, stats.Reasons[c.reason], c.reason)
		require.EqualValues(t, i+1, stats.Rejected)
		var sum int64
		for _, n := range stats.Reasons {
			sum += n
		}
		require.Equal(t, stats.Rejected, sum)
		require.Equal(t, []int64{0}, stats.Secrets, "none of them shows that a secret is in use")
	}
	require.Len(t, r.Stats().Reasons, 14, "a reason that was never given is there, at zero")
}

// The counts show when an old secret is no longer used.
func TestStats_Secrets(t *testing.T) {
	t.Parallel()
	var log lines
	var seen []int
	r, err := webhook.New(testdb.New(t), []string{"whsec_new", "whsec_old"}, webhook.Options{
		Logger: log.logger(), Observe: func(_ context.Context, d webhook.Delivery) { seen = append(seen, d.Secret) },
	})
	require.NoError(t, err)
	deliver := func(id string, secrets ...string) answer {
		payload := event(id, completed)
		var header string
		for i, s := range secrets {
			h := sign(payload, s, time.Now())
			if i > 0 {
				h = header + "," + h[strings.Index(h, "v1="):]
			}
			header = h
		}
		req := request(payload)
		req.Header.Set("Stripe-Signature", header)
		return serve(t, r, req)
	}
	deliver("evt_1", "whsec_old")
	require.Equal(t, []int64{0, 1}, r.Stats().Secrets)
	deliver("evt_2", "whsec_old", "whsec_new")
	require.Equal(t, []int64{1, 1}, r.Stats().Secrets, "signed with both: the first of ours")
	deliver("evt_2", "whsec_new")
	require.Equal(t, []int64{2, 1}, r.Stats().Secrets, "a duplicate is signed as well")
	require.Equal(t, http.StatusBadRequest, deliver("evt_3", "whsec_retired").Status)
	require.Equal(t, []int64{2, 1}, r.Stats().Secrets)
	require.Equal(t, []int{2, 1, 1, 0}, seen)
	require.EqualValues(t, 2, log.all(t)[0]["secret_position"])
	require.NotContains(t, log.all(t)[1], "secret_position")
	require.NotContains(t, log.String(), "whsec_")
	out, err := json.Marshal(r.Stats())
	require.NoError(t, err)
	require.NotContains(t, string(out), "whsec_")
}

func TestStats_LastProcessed(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	effects(t, db)
	r := newReceiver(t, db, webhook.Options{})
	r.Handle(completed, effect)
	send(t, r, event("evt_1", "other"))
	require.Zero(t, r.Stats().LastProcessed, "nothing was processed")
	before := time.Now()
	send(t, r, event("evt_2", completed))
	last := r.Stats().LastProcessed
	require.WithinRange(t, last, before, time.Now())
	require.Equal(t, time.UTC, last.Location())
	send(t, r, event("evt_2", completed))
	require.Equal(t, last, r.Stats().LastProcessed, "a duplicate is no success")
}
