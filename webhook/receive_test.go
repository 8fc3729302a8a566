package webhook_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

// An event that Stripe listed goes through the ledger as a delivered one does: once, and
// again after a failure.
func TestReceive(t *testing.T) {
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
