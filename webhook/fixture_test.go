package webhook_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	stripe "github.com/stripe/stripe-go/v76/webhook"

	"github.com/booking-platform/booking-platform/webhook"
)

const (
	secret    = "whsec_test"
	completed = "checkout.session.completed"
	// eventuallyTimeout bounds what should happen at once, on a busy machine.
	eventuallyTimeout = 20 * time.Second
)

func event(id, eventType string) []byte {
	return fmt.Appendf(nil, `{"id":%q,"object":"event","api_version":"2023-10-16","created":1795000000,`+
		`"livemode":false,"type":%q,
		"data":{"object":{"id":"cs_test_1","object":"checkout.session","payment_status":"paid",`+
		`"payment_intent":"pi_1","client_reference_id":"order-1"}}}`, id, eventType)
}

func sign(payload []byte, secret string, at time.Time) string {
	return stripe.GenerateTestSignedPayload(&stripe.UnsignedPayload{Payload: payload, Secret: secret,
		Timestamp: at}).Header
}

func request(payload []byte) *http.Request {
	req := httptest.NewRequest(http.MethodPost, "/webhook", bytes.NewReader(payload))
	req.Header.Set("Stripe-Signature", sign(payload, secret, time.Now()))
	return req
}

type answer struct {
	Status   int
	Received bool   `json:"received"`
	Outcome  string `json:"outcome"`
	Error    string `json:"error"`
}

// send may be called by any goroutine.
func send(t testing.TB, h http.Handler, payload []byte) answer {
	t.Helper()
	return serve(t, h, request(payload))
}

func serve(t testing.TB, h http.Handler, req *http.Request) answer {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	a := answer{Status: w.Code}
	assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
	assert.NoError(t, json.Unmarshal(w.Body.Bytes(), &a), w.Body.String())
	return a
}

func done(outcome webhook.Outcome) answer {
	return answer{Status: http.StatusOK, Received: true, Outcome: string(outcome)}
}

func refused(reason webhook.Reason) answer {
	return answer{Status: http.StatusBadRequest, Error: string(reason)}
}

var failed = answer{Status: http.StatusInternalServerError, Error: "internal"}

func newReceiver(t testing.TB, db *sql.DB, opts webhook.Options) *webhook.Receiver {
	t.Helper()
	r, err := webhook.New(db, []string{secret}, opts)
	require.NoError(t, err)
	return r
}

// noDatabase cannot connect, for tests that use no database.
func noDatabase(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", "postgres://127.0.0.1:1/none")
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func sums(r *webhook.Receiver) webhook.Stats {
	s := r.Stats()
	s.Reasons, s.Secrets, s.LastProcessed = nil, nil, time.Time{}
	return s
}

// effects is a table in which a handler records each of its effects.
func effects(t testing.TB, db *sql.DB) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), `CREATE TABLE public.effects (event_id text NOT NULL)`)
	require.NoError(t, err)
}

func effect(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
	_, err := tx.ExecContext(ctx, `INSERT INTO public.effects (event_id) VALUES ($1::text)`, ev.ID)
	return webhook.Processed, err
}

func countEffects(t testing.TB, db *sql.DB) int {
	t.Helper()
	var n int
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM public.effects`).Scan(&n))
	return n
}

type row struct {
	webhook.Entry
	Payload string
}

func ledger(t testing.TB, db *sql.DB, id string) (row, bool) {
	t.Helper()
	entries, err := webhook.NewLedger(db, "").List(t.Context(), webhook.ListOptions{Limit: 500})
	require.NoError(t, err)
	for _, e := range entries {
		if e.ID == id {
			var payload sql.NullString
			require.NoError(t, db.QueryRowContext(t.Context(),
				`SELECT payload FROM booking_platform.payment_events WHERE stripe_event_id = $1::text`,
				id).Scan(&payload))
			return row{e, payload.String}, true
		}
	}
	return row{}, false
}

func entry(t testing.TB, db *sql.DB, id string) row {
	t.Helper()
	e, ok := ledger(t, db, id)
	require.True(t, ok, "no ledger row for %s", id)
	return e
}

// lines collects log lines.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *lines) all(t testing.TB) []map[string]any {
	t.Helper()
	var out []map[string]any
	for line := range bytes.Lines([]byte(l.String())) {
		var m map[string]any
		require.NoError(t, json.Unmarshal(line, &m), string(line))
		out = append(out, m)
	}
	return out
}

func within[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(eventuallyTimeout):
		require.FailNow(t, "waited in vain", what)
		panic("unreachable")
	}
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	require.Eventually(t, is, eventuallyTimeout, 5*time.Millisecond, what)
}
