package webhook_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

func ids(entries []webhook.Entry) (out []string) {
	for _, e := range entries {
		out = append(out, e.ID)
	}
	return out
}

func TestList(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		// Three events share each time of arrival, so that a page may end between two of them.
		_, err := db.ExecContext(t.Context(), `
			INSERT INTO booking_platform.payment_events (stripe_event_id, type, outcome, received_at)
			SELECT 'evt_' || lpad(i::text, 4, '0'), CASE WHEN i % 2 = 0 THEN 'even' ELSE 'odd' END,
				CASE WHEN i % 10 = 0 THEN 'parked' ELSE 'processed' END, timestamptz '2026-11-01 00:00+00' + (i / 3) * interval '1 second'
			FROM generate_series(1, 1000) i`)
		require.NoError(t, err)
		list := func(opts webhook.ListOptions) []string {
			entries, err := webhook.List(t.Context(), db, opts)
			require.NoError(t, err)
			return ids(entries)
		}

		var all []string
		for page := list(webhook.ListOptions{Limit: 7}); len(page) > 0; page = list(webhook.ListOptions{Limit: 7, Before: all[len(all)-1]}) {
			all = append(all, page...)
		}
		require.Len(t, all, 1000)
		for i, id := range all {
			require.Equal(t, fmt.Sprintf("evt_%04d", 1000-i), id)
		}

		require.Len(t, list(webhook.ListOptions{}), 50)
		require.Len(t, list(webhook.ListOptions{Limit: -1}), 50)
		require.Len(t, list(webhook.ListOptions{Limit: 10_000}), 500)
		require.Equal(t, []string{"evt_1000", "evt_0990"}, list(webhook.ListOptions{Outcome: webhook.Parked, Limit: 2}))
		require.Equal(t, []string{"evt_0999", "evt_0997"}, list(webhook.ListOptions{Type: "odd", Limit: 2}))
		require.Equal(t, []string{"evt_0980"}, list(webhook.ListOptions{Outcome: webhook.Parked, Type: "even", Before: "evt_0990", Limit: 1}))
		require.Empty(t, list(webhook.ListOptions{Before: "evt_unknown"}))
		require.Empty(t, list(webhook.ListOptions{Before: "evt_0001"}))
		require.Empty(t, list(webhook.ListOptions{Type: "'; DROP TABLE x; --"}))
	})
}

// A deep page is found through the index, not by reading everything before it.
func TestListUsesTheIndex(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	_, err := db.ExecContext(t.Context(), `
		INSERT INTO booking_platform.payment_events (stripe_event_id, type, outcome, received_at)
		SELECT 'evt_' || i, 't', 'processed', timestamptz '2026-11-01 00:00+00' + i * interval '1 second' FROM generate_series(1, 20000) i;
		ANALYZE booking_platform.payment_events`)
	require.NoError(t, err)
	rows, err := db.QueryContext(t.Context(), `EXPLAIN `+webhook.ListSQL, "", "", "evt_10", 50)
	require.NoError(t, err)
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		plan.WriteString(line + "\n")
	}
	require.NoError(t, rows.Err())
	require.Contains(t, plan.String(), "Index Cond: (ROW(received_at, stripe_event_id) <")
}
