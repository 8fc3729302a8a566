package webhook_test

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

// Every way an event can go, on every driver: the answer, the row, the effect, the
// counters.
func TestAnswers(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		effects(t, db)
		r := newReceiver(t, db, webhook.Options{})
		broken := true
		r.Handle(completed, effect)
		r.Handle("charge.refunded", func(context.Context, webhook.Tx, webhook.Event) (webhook.Outcome, error) {
			return webhook.Unmatched, nil
		})
		r.Handle("charge.dispute.created", func(context.Context, webhook.Tx, webhook.Event) (webhook.Outcome, error) {
			return webhook.Parked, nil
		})
		r.Handle("refund.updated", func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
			outcome, err := effect(ctx, tx, ev)
			if broken {
				err = errors.New("no luck today")
			}
			return outcome, err
		})

		require.Equal(t, done(webhook.Processed), send(t, r, event("evt_1", completed)))
		e := entry(t, db, "evt_1")
		require.Equal(t, webhook.Entry{
			ID: "evt_1", Type: completed, APIVersion: "2023-10-16", ObjectID: "cs_test_1", SessionID: "cs_test_1",
			PaymentIntentID: "pi_1", Reference: "order-1", Outcome: webhook.Processed, Attempts: 1,
			Created: time.Unix(1795000000, 0).UTC(), ReceivedAt: e.ReceivedAt, ProcessedAt: e.ProcessedAt,
		}, e.Entry)
		require.WithinDuration(t, time.Now(), e.ReceivedAt, time.Minute)
		require.WithinDuration(t, time.Now(), e.ProcessedAt, time.Minute)
		require.Equal(t, time.UTC, e.ReceivedAt.Location())
		require.Empty(t, e.Payload)

		require.Equal(t, done(webhook.Duplicate), send(t, r, event("evt_1", completed)))
		require.Equal(t, e, entry(t, db, "evt_1"), "a duplicate leaves the row as it is")

		require.Equal(t, done(webhook.Ignored), send(t, r, event("evt_2", "customer.created")))
		require.Equal(t, done(webhook.Duplicate), send(t, r, event("evt_2", "customer.created")))
		e = entry(t, db, "evt_2")
		require.Equal(t, webhook.Ignored, e.Outcome)
		require.Equal(t, webhook.ReasonNoHandler, e.Reason)
		require.False(t, e.ProcessedAt.IsZero())
		require.Equal(t, string(event("evt_2", "customer.created")), e.Payload, "another replica may have a handler")

		require.Equal(t, done(webhook.Unmatched), send(t, r, event("evt_3", "charge.refunded")))
		require.Equal(t, done(webhook.Unmatched), send(t, r, event("evt_3", "charge.refunded")))
		e = entry(t, db, "evt_3")
		require.Equal(t, webhook.Unmatched, e.Outcome)
		require.Equal(t, 2, e.Attempts, "what was unmatched is tried again")
		require.True(t, e.ProcessedAt.IsZero())
		require.Equal(t, string(event("evt_3", "charge.refunded")), e.Payload)

		require.Equal(t, done(webhook.Parked), send(t, r, event("evt_4", "charge.dispute.created")))
		require.Equal(t, done(webhook.Duplicate), send(t, r, event("evt_4", "charge.dispute.created")))
		e = entry(t, db, "evt_4")
		require.Equal(t, webhook.Parked, e.Outcome)
		require.False(t, e.ProcessedAt.IsZero())
		require.NotEmpty(t, e.Payload)

		before := countEffects(t, db)
		require.Equal(t, failed, send(t, r, event("evt_5", "refund.updated")))
		require.Equal(t, failed, send(t, r, event("evt_5", "refund.updated")))
		require.Equal(t, before, countEffects(t, db), "what a failed attempt wrote is gone")
		e = entry(t, db, "evt_5")
		require.Equal(t, webhook.Failed, e.Outcome)
		require.Equal(t, 2, e.Attempts)
		require.Contains(t, e.LastError, "no luck today")
		require.True(t, e.ProcessedAt.IsZero())
		require.NotEmpty(t, e.Payload)
		first := e.ReceivedAt
		broken = false
		require.Equal(t, done(webhook.Processed), send(t, r, event("evt_5", "refund.updated")))
		e = entry(t, db, "evt_5")
		require.Equal(t, webhook.Processed, e.Outcome)
		require.Equal(t, 3, e.Attempts)
		require.Equal(t, first, e.ReceivedAt, "the first arrival's time stays")
		require.False(t, e.ProcessedAt.IsZero())
		require.Empty(t, e.LastError)
		require.Empty(t, e.Payload, "a payload is dropped when its event becomes processed")
		require.Equal(t, before+1, countEffects(t, db))

		require.Equal(t, refused(webhook.ReasonSignatureMissing),
			serve(t, r, httptest.NewRequest(http.MethodPost, "/", http.NoBody)))
		require.Equal(t, webhook.Stats{Received: 12, Processed: 2, Duplicates: 3, Ignored: 1, Unmatched: 2, Parked: 1,
			Errors: 2, Rejected: 1}, sums(r))
	})
}

func TestKeepPayload(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	r := newReceiver(t, db, webhook.Options{KeepPayload: true})
	send(t, r, event("evt_1", completed))
	require.Equal(t, string(event("evt_1", completed)), entry(t, db, "evt_1").Payload)
}

func TestMethod(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, testdb.New(t), webhook.Options{})
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete,
		http.MethodOptions} {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest(method, "/webhook", http.NoBody))
		require.Equal(t, http.StatusMethodNotAllowed, w.Code, method)
		require.Equal(t, http.MethodPost, w.Header().Get("Allow"))
	}
	require.Zero(t, sums(r), "what is no delivery is not counted")
}

// stripe-go's own ConstructEvent refuses these, and a paid order with them.
func TestAnotherAPIVersionIsProcessedAndCountedApart(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	effects(t, db)
	r := newReceiver(t, db, webhook.Options{})
	r.Handle(completed, effect)
	payload := []byte(`{"id":"evt_1","type":"checkout.session.completed","api_version":"2031-01-01","data":{"object":{"id":"cs_1"}}}`)
	require.Equal(t, done(webhook.Processed), send(t, r, payload))
	require.Equal(t, 1, countEffects(t, db))
	require.Equal(t, webhook.Stats{Received: 1, Processed: 1, OtherVersion: 1}, sums(r))
	require.Equal(t, "2031-01-01", entry(t, db, "evt_1").APIVersion)
}

func TestNewFailsClosed(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	for name, secrets := range map[string][]string{"none": nil, "empty": {""}, "blank": {" \t\n"},
		"one of two": {secret, " "}} {
		_, err := webhook.New(db, secrets, webhook.Options{})
		require.Error(t, err, name)
	}
	_, err := webhook.New(nil, []string{secret}, webhook.Options{})
	require.Error(t, err)
}

func TestHandlePanics(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, testdb.New(t), webhook.Options{})
	r.Handle(completed, effect)
	require.Panics(t, func() { r.Handle(completed, effect) })
	require.Panics(t, func() { r.Handle("", effect) })
	require.Panics(t, func() { r.Handle("charge.refunded", nil) })
}
