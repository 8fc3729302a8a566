package main_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

func TestEvents_SchemaMissing(t *testing.T) {
	t.Parallel()
	status, _, stderr := command(t, map[string]string{"DATABASE_URL": testdb.EmptyURL(t)}, "events", "list")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "host migrate up")
}

// An event that arrived before its object is listed, shown, and replayed by the handlers
// of serve.
func TestEvents_ListShowReplay(t *testing.T) {
	t.Parallel()
	// serve has the same environment; the stand-in makes the session.
	env := map[string]string{"DATABASE_URL": testdb.URL(t), "DATA_DIR": t.TempDir()}
	h := startHost(t, env)
	var b created
	c := h.client()
	c.post("/api/bookings", wish(c.slot(0), nil)).into(t, &b)
	payment := b.StripeSessionID
	require.NotEmpty(t, payment)
	// The host's own step must not retry the event first.
	require.NoError(t, h.stop())
	env["STRIPE_SECRET_KEY"], env["STRIPE_API_BASE"], env["STRIPE_WEBHOOK_SECRET"] = "sk_test_x", "http://127.0.0.1:1",
		"whsec_12345678"
	statusOf := func() (status string) {
		require.NoError(t, h.db.QueryRowContext(t.Context(),
			`SELECT status FROM booking_platform.bookings WHERE id = $1`, b.ID).Scan(&status))
		return status
	}
	payload := strings.NewReplacer("evt_1", "evt_early", "LIVE", "false", "cs_1", payment).Replace(sessionExpired)
	_, err := h.db.ExecContext(t.Context(), `
		INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, outcome, stripe_session_id, payload, last_error, retry_at) VALUES
			('host', 'evt_early', 'checkout.session.expired', 'unmatched', $1, $2, '', 'infinity'),
			('host', 'evt_bare', 'checkout.session.expired', 'failed', $1, NULL, E'bad\x1b[31m luck', 'infinity'),
			('host', 'evt_old', 'other', 'processed', '', NULL, '', 'infinity')`, payment, payload)
	require.NoError(t, err)
	_, err = h.db.ExecContext(t.Context(), `UPDATE booking_platform.payment_events SET received_at = '2026-01-01', processed_at = '2026-01-01' WHERE stripe_event_id = 'evt_old'`)
	require.NoError(t, err)

	status, stdout, stderr := command(t, env, "events", "list")
	require.Equal(t, 0, status, stderr)
	require.Contains(t, stdout, `bad\x1b[31m luck`)
	require.Equal(t, 4, strings.Count(stdout, "\n"))
	status, stdout, _ = command(t, env, "events", "list", "--since", "24h", "--outcome", "unmatched", "--type",
		"checkout.session.expired", "--limit", "5", "--json")
	require.Equal(t, 0, status)
	var line struct{ ID, Outcome, StripeSessionID string }
	require.NoError(t, json.Unmarshal([]byte(stdout), &line))
	require.Equal(t, struct{ ID, Outcome, StripeSessionID string }{"evt_early", "unmatched", payment}, line)

	status, stdout, _ = command(t, env, "events", "show", "evt_early")
	require.Equal(t, 0, status)
	require.Contains(t, stdout, payload)
	status, stdout, _ = command(t, env, "events", "show", "--json", "evt_early")
	require.Equal(t, 0, status)
	var shown struct{ Payload string }
	require.NoError(t, json.Unmarshal([]byte(stdout), &shown))
	require.Equal(t, payload, shown.Payload)
	status, stdout, _ = command(t, env, "events", "show", "evt_bare")
	require.Equal(t, 0, status)
	require.Contains(t, stdout, "the payload is not kept")
	status, _, stderr = command(t, env, "events", "show", "evt_none")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, `there is no event "evt_none"`)

	status, stdout, _ = command(t, env, "events", "waiting")
	require.Equal(t, 0, status)
	require.Regexp(t, `^failed: +1\nunmatched: +1\nunmatched sessions: +1\nparked: +0\noldest unprocessed: +20\S+Z, \d+s old\nlast processed: +20\S+Z\n$`, stdout)
	status, stdout, _ = command(t, env, "events", "waiting", "--json")
	require.Equal(t, 0, status)
	require.Contains(t, stdout, `{"failed":1,"unmatched":1,"unmatchedSessions":1,"parked":0,"oldestAgeSeconds":`)

	status, stdout, stderr = command(t, env, "events", "replay", "--id", "evt_early", "--dry-run")
	require.Equal(t, 0, status, stderr)
	require.Equal(t, "evt_early: checkout.session.expired, unmatched\ndry run: nothing was done\n", stdout)
	require.Equal(t, "pending", statusOf())

	status, stdout, stderr = command(t, env, "events", "replay", "--since", "24h")
	require.Equal(t, 1, status, "one of them cannot be replayed")
	require.Contains(t, stdout, "evt_early: checkout.session.expired, unmatched -> processed\n")
	require.Contains(t, stdout, "evt_bare: failed, and its payload is not kept\n")
	require.Contains(t, stderr, "1 of 2 events are not settled")
	require.Equal(t, "expired", statusOf(), "the handlers of payments did it")

	status, stdout, _ = command(t, env, "events", "replay", "--outcome", "unmatched,parked")
	require.Equal(t, 0, status)
	require.Equal(t, "nothing to replay\n", stdout)
	status, stdout, _ = command(t, env, "events", "replay", "--json", "--id", "evt_old,evt_none")
	require.Equal(t, 1, status)
	require.Equal(t, `{"id":"evt_old","type":"other","was":"processed","skipped":"outcome"}`+"\n"+
		`{"id":"evt_none","skipped":"unknown"}`+"\n", stdout)
	delete(env, "STRIPE_WEBHOOK_SECRET")
	status, _, stderr = command(t, env, "events", "replay")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "STRIPE_WEBHOOK_SECRET", "a replay needs what serve needs")
}

// fetch lists an event that the ledger lacks, handles it once, and names what matches
// nothing.
func TestEventsFetch_ListsThenTakesOnce(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.URL(t), "DATA_DIR": t.TempDir()}
	status, _, stderr := command(t, env, "events", "fetch", "--since", "1h")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "STRIPE_SECRET_KEY")
	stripe := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		require.Equal(t, "/v1/events", r.URL.Path)
		_, _ = io.WriteString(rw, `{"object":"list","has_more":false,"data":[`+strings.NewReplacer("evt_1", "evt_lost",
			"LIVE", "false").Replace(sessionExpired)+`]}`)
	}))
	defer stripe.Close()
	env["STRIPE_SECRET_KEY"], env["STRIPE_API_BASE"], env["STRIPE_WEBHOOK_SECRET"] = "sk_test_x", stripe.URL,
		"whsec_12345678"

	status, stdout, stderr := command(t, env, "events", "fetch", "--since", "24h", "--dry-run")
	require.Equal(t, 0, status, stderr)
	require.Contains(t, stdout, "evt_lost: checkout.session.expired (")
	require.Contains(t, stdout, "1 events listed, 1 of them new here\ndry run: nothing was done")
	status, stdout, _ = command(t, env, "events", "list")
	require.Equal(t, 0, status)
	require.NotContains(t, stdout, "evt_lost")

	for range 2 {
		status, stdout, stderr = command(t, env, "events", "fetch", "--since", "24h")
		require.Equal(t, 1, status)
		require.Contains(t, stdout, "evt_lost: checkout.session.expired -> unmatched (")
		require.Contains(t, stderr, "1 of 1 events failed or match nothing here")
	}
	status, stdout, _ = command(t, env, "events", "fetch", "--since", "24h", "--json")
	require.Equal(t, 1, status)
	var line struct{ ID, Was, Outcome, StripeSessionID string }
	require.NoError(t, json.Unmarshal([]byte(stdout), &line))
	require.Equal(t, struct{ ID, Was, Outcome, StripeSessionID string }{"evt_lost", "unmatched", "unmatched", "cs_1"},
		line)
	status, stdout, _ = command(t, env, "events", "list", "--outcome", "unmatched")
	require.Equal(t, 0, status)
	require.Contains(t, stdout, "evt_lost")
}

// M1, M9: the commands only see the hosts' events, and ignore ends those that need
// nothing.
func TestEvents_IgnoreAndOtherReceivers(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.URL(t), "DATA_DIR": t.TempDir()}
	db := testdb.Open(t, testdb.PQ, env["DATABASE_URL"])
	theirs, err := webhook.New(db, []string{"whsec_12345678"}, webhook.Options{Name: "shop"})
	require.NoError(t, err)
	theirs.Handle("checkout.session.expired",
		func(context.Context, webhook.Tx, webhook.Event) (webhook.Outcome, error) {
			return webhook.Unmatched, nil
		})
	payload := strings.NewReplacer("evt_1", "evt_theirs", "LIVE", "false").Replace(sessionExpired)
	outcome, err := theirs.Receive(t.Context(), []byte(payload))
	require.NoError(t, err)
	require.Equal(t, webhook.Unmatched, outcome)
	_, err = db.ExecContext(t.Context(), `
		INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, outcome, payload) VALUES
			('host', 'evt_failed', 'charge.refunded', 'failed', '{}'), ('host', 'evt_done', 'charge.refunded', 'processed', NULL)`)
	require.NoError(t, err)

	status, stdout, stderr := command(t, env, "events", "list")
	require.Equal(t, 0, status, stderr)
	require.Contains(t, stdout, "evt_failed")
	require.NotContains(t, stdout, "evt_theirs")
	status, _, stderr = command(t, env, "events", "show", "evt_theirs")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, `there is no event "evt_theirs"`)
	env["STRIPE_SECRET_KEY"], env["STRIPE_API_BASE"], env["STRIPE_WEBHOOK_SECRET"] = "sk_test_x", "http://127.0.0.1:1",
		"whsec_12345678"
	status, stdout, _ = command(t, env, "events", "replay", "--id", "evt_theirs")
	require.Equal(t, 1, status)
	require.Equal(t, "evt_theirs: not in the ledger\n", stdout)

	status, stdout, stderr = command(t, env, "events", "ignore", "evt_failed", "evt_done", "evt_theirs")
	require.Equal(t, 1, status)
	require.Equal(t,
		"evt_failed: failed -> ignored\nevt_done: processed, left as it is\nevt_theirs: not in the ledger\n", stdout)
	require.Contains(t, stderr, "2 of 3 events had nothing to end")
	status, stdout, _ = command(t, env, "events", "ignore", "--json", "evt_failed")
	require.Equal(t, 1, status)
	require.Equal(t, `{"id":"evt_failed","was":"ignored","ignored":false}`+"\n", stdout)
	status, stdout, _ = command(t, env, "events", "list", "--outcome", "ignored", "--reason", "operator", "--json")
	require.Equal(t, 0, status)
	require.Contains(t, stdout, `"outcome":"ignored","reason":"operator"`)
	record, err := theirs.Ledger().Find(t.Context(), "evt_theirs")
	require.NoError(t, err)
	require.Equal(t, webhook.Unmatched, record.Outcome)
}

// O11: a replay says how many events its limit left out.
func TestEvents_ReplaySaysWhatIsLeft(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.URL(t), "DATA_DIR": t.TempDir()}
	db := testdb.Open(t, testdb.PQ, env["DATABASE_URL"])
	_, err := db.Exec(`
		INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, outcome, payload)
		SELECT 'host', 'evt_' || n, 'checkout.session.expired', 'failed', '{}' FROM generate_series(1, 5) AS n`)
	require.NoError(t, err)
	for _, dry := range []string{"--dry-run", "--dry-run=false"} {
		_, stdout, stderr := command(t, env, "events", "replay", "--limit", "2", dry)
		require.Equal(t, 2, strings.Count(stdout, "evt_"), stdout+stderr)
		require.Contains(t, stdout, "2 of 5 events: to include the others, run this with --limit 5\n")
	}
}
