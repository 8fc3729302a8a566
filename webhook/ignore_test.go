package webhook_test

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

// M9: a person ends what waits and needs nothing; other events stay as they are.
func TestIgnore(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		r := first(t, db, webhook.Options{})
		got, err := webhook.NewLedger(db, "").Ignore(t.Context(), "evt_failed", "evt_unmatched", "evt_parked", "evt_ignored",
			"evt_processed", "evt_none", "evt\x00", "evt_failed")
		require.NoError(t, err)
		require.Equal(t, []webhook.IgnoreResult{
			{ID: "evt_failed", Was: webhook.Failed, Ended: true},
			{ID: "evt_unmatched", Was: webhook.Unmatched, Ended: true},
			{ID: "evt_parked", Was: webhook.Parked, Ended: true}, {ID: "evt_ignored", Was: webhook.Ignored},
			{ID: "evt_processed", Was: webhook.Processed}, {ID: "evt_none"}, {ID: "evt\x00"},
			{ID: "evt_failed", Was: webhook.Ignored},
		}, got)
		require.Equal(t, webhook.ReasonNoHandler, entry(t, db, "evt_ignored").Reason)
		backlog, err := r.Ledger().Backlog(t.Context())
		require.NoError(t, err)
		require.Zero(t, backlog.Failed+backlog.Unmatched+backlog.Parked)
		for _, id := range []string{"failed", "unmatched", "parked"} {
			e := entry(t, db, "evt_"+id)
			require.Equal(t, webhook.ReasonOperator, e.Reason)
			require.False(t, e.ProcessedAt.IsZero())
			require.Equal(t, done(webhook.Duplicate), send(t, r, event(e.ID, id)))
		}
		require.Equal(t, map[string]string{"evt_parked": "ignored>processed"},
			became(t, r, webhook.ReplayOptions{IDs: []string{"evt_parked"},
				Outcomes: []webhook.Outcome{webhook.Ignored}}))
	})
}
