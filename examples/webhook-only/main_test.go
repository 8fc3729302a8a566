package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/pgtest"
	"github.com/booking-platform/booking-platform/webhook"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const patience = 30 * time.Second

// fixture is the program on an empty database, with a Stripe of its own.
type fixture struct {
	*program
	stripe *stripetest.Server
	db     *sql.DB
}

func start(t *testing.T) fixture {
	t.Helper()
	db, web := pgtest.New(t), http.NewServeMux()
	stripe := stripetest.Start(t, web)
	p, err := assemble(t.Context(), db, "https://shop.example",
		account{stripetest.SecretKey, stripetest.WebhookSecret, stripe.URL()}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	web.Handle("/", p.routes)
	ctx, stop := context.WithCancel(context.Background())
	worked := make(chan error, 1)
	go func() { worked <- p.receiver.Run(ctx) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-worked) })
	return fixture{p, stripe, db}
}

func (p fixture) post(t *testing.T, payload []byte) string {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhook", bytes.NewReader(payload))
	req.Header.Set("Stripe-Signature", stripetest.Sign(payload, stripetest.WebhookSecret, time.Now()))
	answer := httptest.NewRecorder()
	p.routes.ServeHTTP(answer, req)
	return answer.Body.String()
}

// pay does not check the webhook's outcome.
func (p fixture) pay(t *testing.T) (order int64, event string) {
	t.Helper()
	o, _, err := p.shop.placeOrder(t.Context())
	require.NoError(t, err)
	sessions := p.stripe.Sessions()
	_, err = p.stripe.Pay(t.Context(), sessions[len(sessions)-1].ID)
	require.NoError(t, err)
	events := p.stripe.Events()
	return o.ID, events[len(events)-1].ID
}

func (p fixture) delivered(t *testing.T, event string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, p.stripe.WaitDelivered(ctx, event))
}

func (p fixture) outcome(t *testing.T, event string) webhook.Outcome {
	t.Helper()
	entries, err := webhook.NewLedger(p.db, "").List(t.Context(), webhook.ListOptions{})
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, event, entries[0].ID)
	return entries[0].Outcome
}

// However often the webhook is delivered: one payment, one parcel, one ledger row.
func TestWebhook_PaidExactlyOnce(t *testing.T) {
	t.Parallel()
	p := start(t)
	id, event := p.pay(t)
	p.delivered(t, event)
	attempts, err := p.stripe.Resend(t.Context(), event, 10)
	require.NoError(t, err)
	for _, a := range attempts {
		require.True(t, a.OK(), a)
	}
	o, err := p.shop.order(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, order{ID: id, Item: "A mug", Cents: 1400, Status: "paid", Parcels: 1}, o)
	require.Equal(t, webhook.Processed, p.outcome(t, event))
}

// Without the parcel the order stays open and the event failed; the next delivery commits
// both.
func TestWebhook_OrderAndEventTogether(t *testing.T) {
	t.Parallel()
	p := start(t)
	_, err := p.db.ExecContext(t.Context(), `ALTER TABLE parcels ADD CONSTRAINT no_parcels CHECK (false) NOT VALID`)
	require.NoError(t, err)
	id, event := p.pay(t)
	attempts, err := p.stripe.Resend(t.Context(), event, 1)
	require.NoError(t, err)
	require.Equal(t, http.StatusInternalServerError, attempts[0].Status)
	o, err := p.shop.order(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, order{ID: id, Item: "A mug", Cents: 1400, Status: "open"}, o)
	require.Equal(t, webhook.Failed, p.outcome(t, event))

	_, err = p.db.ExecContext(t.Context(), `ALTER TABLE parcels DROP CONSTRAINT no_parcels`)
	require.NoError(t, err)
	p.delivered(t, event)
	o, err = p.shop.order(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, order{ID: id, Item: "A mug", Cents: 1400, Status: "paid", Parcels: 1}, o)
	require.Equal(t, webhook.Processed, p.outcome(t, event))
}

// M9: A session of another system on the account is acknowledged: ignored if its
// reference cannot be an order's, else unmatched.
func TestWebhook_ForeignSession(t *testing.T) {
	t.Parallel()
	p := start(t)
	for i, reference := range []string{"cart_42", "424242", ""} {
		want := map[string]webhook.Outcome{"424242": webhook.Unmatched}[reference]
		if want == "" {
			want = webhook.Ignored
		}
		payload := []byte(`{"id":"evt_` + string(rune('a'+i)) + `","type":"checkout.session.completed",
			"data":{"object":{"id":"cs_1","object":"checkout.session","payment_status":"paid",
			"client_reference_id":"` + reference + `"}}}`)
		require.JSONEq(t, `{"received":true,"outcome":"`+string(want)+`"}`, p.post(t, payload))
	}
	entries, err := webhook.NewLedger(p.db, "").List(t.Context(),
		webhook.ListOptions{Outcome: webhook.Ignored, Reason: webhook.ReasonNotOurs})
	require.NoError(t, err)
	require.Len(t, entries, 2)
}

// M29: An event that arrives before its order's commit is handled later.
func TestWebhook_EarlyEvent(t *testing.T) {
	t.Parallel()
	p := start(t)
	tx, err := p.db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	var id int64
	require.NoError(t, tx.QueryRowContext(t.Context(),
		`INSERT INTO orders (item, cents) VALUES ('A mug', 1400) RETURNING id`).Scan(&id))
	payload := fmt.Appendf(nil, `{"id":"evt_early","type":"checkout.session.completed","data":{"object":{
		"id":"cs_1","object":"checkout.session","payment_status":"paid","client_reference_id":"%d"}}}`, id)
	require.JSONEq(t, `{"received":true,"outcome":"unmatched"}`, p.post(t, payload))
	require.NoError(t, tx.Commit())
	_, err = p.db.ExecContext(t.Context(), `UPDATE booking_platform.payment_events SET retry_at = statement_timestamp()`)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		o, err := p.shop.order(t.Context(), id)
		return err == nil && o.Status == "paid" && o.Parcels == 1
	}, patience, 50*time.Millisecond)
}

// M29: The shop's page, and the way to the pay page and back.
func TestRun(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	done := make(chan error, 1)
	database := pgtest.URL(t)
	go func() { done <- run(ctx, "127.0.0.1:0", database, in); _ = in.Close() }()
	t.Cleanup(func() { stop(); require.NoError(t, <-done) })

	var url string
	lines := bufio.NewScanner(out)
	for url == "" && lines.Scan() {
		_, url, _ = strings.Cut(lines.Text(), "The shop is at ")
	}
	require.NotEmpty(t, url)
	go func() { _, _ = io.Copy(io.Discard, out) }()
	resp, err := http.Post(url+"/orders", "", nil)
	require.NoError(t, err)
	page, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Contains(t, resp.Request.URL.Path, "/stripe/pay/cs_test_", "ordering redirects to the pay page")
	require.Contains(t, string(page), "A mug")
	resp, err = http.Get(url + "/orders/1")
	require.NoError(t, err)
	page, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Contains(t, string(page), "Order 1: open")
}

// The README promises under 25 lines: those of stripe.go without imports.
func TestStripeFile_Under25Lines(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("stripe.go")
	require.NoError(t, err)
	_, code, found := strings.Cut(string(source), "\n)\n")
	require.True(t, found, "the import block ends")
	n := 2 // The lines in main.go that mount it and run Receiver.Run.
	for line := range strings.Lines(code) {
		if !regexp.MustCompile(`^\s*(//.*)?$`).MatchString(strings.TrimRight(line, "\n")) {
			n++
		}
	}
	t.Logf("%d lines", n)
	require.Less(t, n, 25)
}
