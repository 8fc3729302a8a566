package webhook_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

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

func TestList_Filters(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		// Three events share each time of arrival, so that a page may end between them.
		_, err := db.ExecContext(t.Context(), `
			INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, outcome, received_at)
			SELECT 'default', 'evt_' || lpad(i::text, 4, '0'), CASE WHEN i % 2 = 0 THEN 'even' ELSE 'odd' END,
				CASE WHEN i % 10 = 0 THEN 'parked' ELSE 'processed' END, 
				timestamptz '2026-11-01 00:00+00' + (i / 3) * interval '1 second'
			FROM generate_series(1, 1000) i`)
		require.NoError(t, err)
		list := func(opts webhook.ListOptions) []string {
			entries, err := webhook.NewLedger(db, "").List(t.Context(), opts)
			require.NoError(t, err)
			return ids(entries)
		}

		var all []string
		for page := list(webhook.ListOptions{Limit: 7}); len(page) > 0; page = list(webhook.ListOptions{Limit: 7,
			Before: all[len(all)-1]}) {
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
		require.Equal(t, []string{"evt_0980"},
			list(webhook.ListOptions{Outcome: webhook.Parked, Type: "even", Before: "evt_0990", Limit: 1}))
		require.Empty(t, list(webhook.ListOptions{Before: "evt_unknown"}))
		require.Empty(t, list(webhook.ListOptions{Before: "evt_0001"}))
		require.Empty(t, list(webhook.ListOptions{Type: "'; DROP TABLE x; --"}))
	})
}

// A deep page is found through the index.
func TestList_UsesIndex(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	_, err := db.ExecContext(t.Context(), `
		INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, outcome, received_at)
		SELECT 'default', 'evt_' || i, 't', 'processed', timestamptz '2026-11-01 00:00+00' + i * interval '1 second'
		FROM generate_series(1, 20000) i;
		ANALYZE booking_platform.payment_events`)
	require.NoError(t, err)
	query, args := webhook.PageQuery(webhook.ListOptions{Before: "evt_10"})
	require.Contains(t, plan(t, db, query, args...), "(ROW(received_at, stripe_event_id) <")
}

func plan(t testing.TB, db *sql.DB, query string, args ...any) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `EXPLAIN `+query, args...)
	require.NoError(t, err)
	defer rows.Close()
	var out strings.Builder
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		out.WriteString(line + "\n")
	}
	require.NoError(t, rows.Err())
	return out.String()
}

func TestList_SinceAndUntil(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		_, err := db.ExecContext(t.Context(), `
			INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, outcome, received_at)
			SELECT 'default', 'evt_' || i, 't', 'processed', timestamptz '2026-11-01 00:00+00' + i * interval '1 hour'
			FROM generate_series(1, 9) i`)
		require.NoError(t, err)
		at := func(hour int) time.Time { return time.Date(2026, 11, 1, hour, 0, 0, 0, time.UTC) }
		ids := func(opts webhook.ListOptions) (out []string) {
			entries, err := webhook.NewLedger(db, "").List(t.Context(), opts)
			require.NoError(t, err)
			for _, e := range entries {
				out = append(out, e.ID)
			}
			return out
		}
		require.Equal(t, []string{"evt_9", "evt_8"}, ids(webhook.ListOptions{Since: at(8)}))
		require.Equal(t, []string{"evt_2", "evt_1"}, ids(webhook.ListOptions{Until: at(3)}))
		require.Equal(t, []string{"evt_4", "evt_3"},
			ids(webhook.ListOptions{Since: at(3), Until: at(6), Before: "evt_5"}))
		require.Empty(t, ids(webhook.ListOptions{Since: at(10)}))
	})
}

func TestFind_Payload(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		r := newReceiver(t, db, webhook.Options{})
		r.Handle(completed, func(context.Context, webhook.Tx,
			webhook.Event) (webhook.Outcome, error) {
			return webhook.Parked, nil
		})
		r.Handle("other", func(context.Context, webhook.Tx, webhook.Event) (webhook.Outcome, error) {
			return webhook.Processed, nil
		})
		payload := event("evt_1", completed)
		send(t, r, payload)
		send(t, r, event("evt_2", "other"))
		record, err := webhook.NewLedger(db, "").Find(t.Context(), "evt_1")
		require.NoError(t, err)
		require.Equal(t, entry(t, db, "evt_1").Entry, record.Entry)
		require.Equal(t, string(payload), string(record.Payload))
		record, err = webhook.NewLedger(db, "").Find(t.Context(), "evt_2")
		require.NoError(t, err)
		require.Nil(t, record.Payload)
		for _, id := range []string{"", "evt_3", "evt\x00", strings.Repeat("x", 10_000)} {
			_, err = webhook.NewLedger(db, "").Find(t.Context(), id)
			require.ErrorIs(t, err, webhook.ErrNotFound)
		}
	})
}

func TestBacklog_Counts(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		none, err := webhook.NewLedger(db, "").Backlog(t.Context())
		require.NoError(t, err)
		require.Zero(t, none)

		effects(t, db)
		r := newReceiver(t, db, webhook.Options{})
		r.Handle(completed, effect)
		r.Handle("failing", failing(errors.New("no luck")))
		for _, outcome := range []webhook.Outcome{webhook.Unmatched, webhook.Parked} {
			r.Handle(string(outcome), func(context.Context, webhook.Tx,
				webhook.Event) (webhook.Outcome, error) {
				return outcome, nil
			})
		}
		for id, eventType := range map[string]string{
			"evt_1": completed, "evt_2": "failing", "evt_3": "failing", "evt_4": "unmatched", "evt_5": "parked",
			"evt_6": "ignored",
		} {
			send(t, r, event(id, eventType))
		}
		_, err = db.ExecContext(t.Context(), `UPDATE booking_platform.payment_events
			SET received_at = statement_timestamp() - CASE stripe_event_id
			WHEN 'evt_4' THEN interval '1 hour' WHEN 'evt_5' THEN interval '2 days'
			WHEN 'evt_1' THEN interval '3 days' ELSE interval '1 minute' END`)
		require.NoError(t, err)
		b, err := webhook.NewLedger(db, "").Backlog(t.Context())
		require.NoError(t, err)
		require.Equal(t, []int{2, 1, 1}, []int{b.Failed, b.Unmatched, b.Parked})
		require.Equal(t, entry(t, db, "evt_4").ReceivedAt, b.Oldest,
			"what is parked has been looked at by Stripe's deliveries for the last time")
		require.InDelta(t, time.Hour, b.Age, float64(time.Minute))
		require.Equal(t, entry(t, db, "evt_1").ProcessedAt, b.LastProcessed)
	})
}

// Of many rows only the open ones are read.
func TestBacklog_UsesIndex(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	fillLedger(t, db)
	p := plan(t, db, webhook.BacklogSQL, "default")
	require.Contains(t, p, "payment_events_waiting")
	require.NotContains(t, p, "Seq Scan on payment_events")
}

// fillLedger inserts 20,000 events a minute apart, every thousandth open.
func fillLedger(t testing.TB, db *sql.DB) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), `
		INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, outcome, received_at,
		processed_at, payload)
		SELECT 'default', 'evt_' || i, 't', CASE WHEN i % 1000 = 0 THEN 'failed' ELSE 'processed' END, at, CASE
		WHEN i % 1000 = 0 THEN NULL ELSE at END,
			CASE WHEN i % 1000 = 0 THEN '{}' END
		FROM generate_series(1, 20000) i, LATERAL (SELECT statement_timestamp() - i * interval '1 minute' AS at) x;
		ANALYZE booking_platform.payment_events`)
	require.NoError(t, err)
}

// M9.
func TestIgnore_Outcomes(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		r := oneOfEach(t, db, webhook.Options{})
		got, err := webhook.NewLedger(db, "").Ignore(t.Context(),
			"evt_failed", "evt_unmatched", "evt_parked", "evt_ignored",
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

// M9: Unmatched events that name only a PaymentIntent may be another product's.
func TestBacklog_OtherProductsDoNotAlert(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	r := unmatched(t, db, webhook.Options{})
	r.Handle(completed, func(context.Context, webhook.Tx, webhook.Event) (webhook.Outcome, error) {
		return webhook.Unmatched, nil
	})
	send(t, r, refund("evt_1"))
	backlog, err := r.Ledger().Backlog(t.Context())
	require.NoError(t, err)
	require.Equal(t, webhook.Backlog{Unmatched: 1}, backlog)
	send(t, r, event("evt_2", completed))
	backlog, err = r.Ledger().Backlog(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, backlog.Unmatched)
	require.Equal(t, 1, backlog.UnmatchedSessions)
	require.Equal(t, entry(t, db, "evt_2").ReceivedAt, backlog.Oldest)
}

// Those with its reference, and those that have only its PaymentIntent.
func TestPage_ByReferenceSessionAndIntent(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		_, err := db.ExecContext(t.Context(), `
			INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, outcome, payment_ref,
				stripe_session_id, stripe_payment_intent_id, received_at)
			SELECT r, id, 't', 'processed', ref, session, intent, timestamptz '2026-11-01 00:00+00' + n * interval '1 second'
			FROM (VALUES (1, 'evt_paid', 'order-17', 'cs_17', 'pi_17'), (2, 'evt_refund', '', '', 'pi_17'),
				(3, 'evt_expired', 'order-17', 'cs_16', ''), (4, 'evt_other', 'order-1', 'cs_1', 'pi_1'),
				(5, 'evt_none', '', '', '')) AS v(n, id, ref, session, intent), (VALUES ('default'), ('other')) AS o(r)`)
		require.NoError(t, err)
		for want, opts := range map[string]webhook.ListOptions{
			"[evt_expired evt_refund evt_paid]": {Reference: "order-17"},
			"[evt_paid]":                        {SessionID: "cs_17"},
			"[evt_refund evt_paid]":             {PaymentIntentID: "pi_17"},
			"[evt_expired]":                     {Reference: "order-17", SessionID: "cs_16"},
			"[evt_refund]":                      {Reference: "order-17", Before: "evt_expired", Limit: 1},
			"[]":                                {Reference: "order-17", Outcome: webhook.Failed},
			"[evt_other]":                       {Reference: "order-1"},
		} {
			entries, err := webhook.NewLedger(db, "").List(t.Context(), opts)
			require.NoError(t, err)
			require.Equal(t, want, fmt.Sprint(ids(entries)), "%+v", opts)
		}
	})
}

// A page reads at most 10,000 rows, and pages lead to every match.
func TestPage_BoundedAndComplete(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	_, err := db.ExecContext(t.Context(), `
		INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, outcome, received_at)
		SELECT 'default', 'evt_' || i, CASE WHEN i % 9000 = 1 THEN 'rare' ELSE 't' END, 'processed',
			timestamptz '2026-11-01 00:00+00' + i * interval '1 second'
		FROM generate_series(1, 45000) i;
		ANALYZE booking_platform.payment_events`)
	require.NoError(t, err)
	ledger := webhook.NewLedger(db, "")
	for _, limit := range []int{1, 2, 500} {
		opts, found, pages := webhook.ListOptions{Type: "rare", Limit: limit}, []string{}, 0
		for {
			page, err := ledger.Page(t.Context(), opts)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page.Entries), limit)
			found = append(found, ids(page.Entries)...)
			if pages++; page.Next == "" {
				break
			}
			require.NotEqual(t, opts.Before, page.Next)
			opts.Before = page.Next
		}
		require.Equal(t, []string{"evt_36001", "evt_27001", "evt_18001", "evt_9001", "evt_1"}, found, "limit %d", limit)
		require.Greater(t, pages, 4, "limit %d", limit)
	}
	none, err := ledger.Page(t.Context(), webhook.ListOptions{Type: "absent"})
	require.NoError(t, err)
	require.Equal(t, webhook.Page{Next: "evt_35001"}, none)
	exact, err := ledger.Page(t.Context(),
		webhook.ListOptions{Since: time.Date(2026, 11, 1, 12, 29, 59, 0, time.UTC), Limit: 2})
	require.NoError(t, err)
	require.Equal(t, []string{"evt_45000", "evt_44999"}, ids(exact.Entries))
	require.Empty(t, exact.Next, "there are no more")

	for name, c := range map[string]struct {
		opts  webhook.ListOptions
		index string
	}{
		"a rare type": {webhook.ListOptions{Type: "rare"}, "payment_events_received"},
		"a reference": {webhook.ListOptions{Reference: "order-17"}, "payment_events_reference"},
		"the intents": {webhook.ListOptions{Reference: "order-17"}, "payment_events_intent"},
		"a session":   {webhook.ListOptions{SessionID: "cs_17"}, "payment_events_session"},
		"an intent":   {webhook.ListOptions{PaymentIntentID: "pi_17"}, "payment_events_intent"},
		"failed":      {webhook.ListOptions{Outcome: webhook.Failed}, "payment_events_waiting"},
	} {
		query, args := webhook.PageQuery(c.opts)
		p := plan(t, db, query, args...)
		require.Contains(t, p, c.index, name)
		require.NotContains(t, p, "Seq Scan", name)
	}
}
