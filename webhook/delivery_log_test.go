package webhook_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

type contextKey struct{}

// withRequestID adds the request's id from the context, as a host's log handler does.
type withRequestID struct{ slog.Handler }

func (h withRequestID) Handle(ctx context.Context, r slog.Record) error {
	if id, ok := ctx.Value(contextKey{}).(string); ok {
		r.AddAttrs(slog.String("request_id", id))
	}
	return h.Handler.Handle(ctx, r)
}

func TestLog_Lines(t *testing.T) {
	t.Parallel()
	var log lines
	logger := slog.New(withRequestID{log.logger().Handler()})
	r := newReceiver(t, testdb.New(t), webhook.Options{Logger: logger})
	r.Handle(completed, func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		webhook.Annotate(ctx, slog.String("booking_id", "b-1"))
		return webhook.Processed, nil
	})
	r.Handle("failing", failing(errors.New("no luck\nat all")))
	r.Handle("sql", func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		_, err := tx.ExecContext(ctx, `SELECT 1/0`)
		return "", err
	})
	deliver := func(req *http.Request) {
		serve(t, r, req.WithContext(context.WithValue(req.Context(), contextKey{}, "req-1")))
	}
	payload := event("evt_1", completed)
	deliver(request(payload))
	deliver(request(payload))
	deliver(request(event("evt_2", "failing")))
	deliver(request(event("evt_3", "sql")))
	deliver(request([]byte(`{"id":"evt\r\n\u001b[31mred","type":"other",` +
		`"data":{"object":{"metadata":{"request_id":"req-origin-1"}}}}`)))
	deliver(request([]byte(`{"id":"evt_5","type":"other",` +
		`"data":{"object":{"metadata":{"request_id":"req\r\nforged: x"}}}}`)))
	forged := request(payload)
	forged.Header.Set("Stripe-Signature", sign(payload, "whsec_other", time.Now()))
	deliver(forged)
	deliver(request(bytes.Repeat([]byte("x"), 2<<20)))

	got := log.all(t)
	want := []map[string]any{
		{"level": "INFO", "outcome": "processed", "event_id": "evt_1", "event_type": completed, "booking_id": "b-1",
			"bytes": float64(len(payload))},
		{"level": "INFO", "outcome": "duplicate", "event_id": "evt_1"},
		{"level": "ERROR", "outcome": "failed", "event_id": "evt_2",
			"error": "webhook: handle failing: no luck\nat all"},
		{"level": "ERROR", "outcome": "failed", "event_id": "evt_3", "sqlstate": "22012"},
		{"level": "INFO", "outcome": "ignored", "event_id": "evt\r\n\x1b[31mred", "origin_request_id": "req-origin-1"},
		{"level": "INFO", "outcome": "ignored", "event_id": "evt_5"},
		{"level": "WARN", "outcome": "rejected", "reason": "signature_wrong", "bytes": float64(len(payload))},
		{"level": "WARN", "outcome": "rejected", "reason": "body_too_large", "bytes": float64(1 << 20)},
	}
	require.Len(t, got, len(want), "one line for each delivery")
	for i, line := range want {
		line["request_id"], line["msg"] = "req-1", "webhook delivery"
		require.Subset(t, got[i], line)
	}
	require.NotContains(t, got[1], "booking_id", "the duplicate's handler did not run")
	require.NotContains(t, got[5], "origin_request_id", "it is no id of a request")
	for _, secret := range []string{secret, "whsec_other", "v1=", "client_reference_id", "order-1", "\x1b"} {
		require.NotContains(t, log.String(), secret)
	}
}

func TestAnnotate_RetriedTransaction(t *testing.T) {
	t.Parallel()
	var log lines
	r := newReceiver(t, testdb.New(t), webhook.Options{Logger: log.logger()})
	tries := 0
	r.Handle(completed, func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		tries++
		webhook.Annotate(ctx, slog.Int("try", tries))
		if tries == 1 {
			_, err := tx.ExecContext(ctx, `DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = '40001'; END $$`)
			return "", err
		}
		return webhook.Processed, nil
	})
	require.Equal(t, done(webhook.Processed), send(t, r, event("evt_1", completed)))
	require.Equal(t, 1, strings.Count(log.String(), `"try":`))
	require.EqualValues(t, 2, log.all(t)[0]["try"])
	webhook.Annotate(t.Context(), slog.String("key", "ignored"))
}

func TestObserve_EachDelivery(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []webhook.Delivery
	r := newReceiver(t, testdb.New(t), webhook.Options{Observe: func(_ context.Context, d webhook.Delivery) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, d)
	}})
	r.Handle("failing", failing(errors.New("no luck")))
	payload := []byte(`{"id":"evt_1","type":"other","api_version":"2031-01-01"}`)
	send(t, r, payload)
	send(t, r, event("evt_2", "failing"))
	serve(t, r, httptest.NewRequest(http.MethodPost, "/", nil))
	require.Len(t, seen, 3)
	for i := range seen {
		require.Positive(t, seen[i].Duration)
		seen[i].Duration = 0
	}
	require.ErrorContains(t, seen[1].Err, "no luck")
	seen[1].Err = nil
	require.Equal(t, []webhook.Delivery{
		{Outcome: webhook.Ignored, Reason: webhook.ReasonNoHandler, EventID: "evt_1", EventType: "other",
			OtherVersion: true, Secret: 1, Status: 200, Bytes: len(payload)},
		{Outcome: webhook.Failed, EventID: "evt_2", EventType: "failing", Secret: 1, Status: 500,
			Bytes: len(event("evt_2", "failing"))},
		{Outcome: webhook.Rejected, Reason: webhook.ReasonSignatureMissing, Status: 400},
	}, seen)
}
