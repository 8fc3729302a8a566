package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
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

// started runs the program on an empty database.
func started(t *testing.T) (*program, *sql.DB) {
	t.Helper()
	db := pgtest.New(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	p, err := assemble(ctx, db, "http://"+listener.Addr().String(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- p.serve(ctx, listener) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-served) })
	return p, db
}

// pay places an order and pays for it, without checking the webhook's outcome.
func (p *program) pay(t *testing.T) (order int64, event string) {
	t.Helper()
	o, _, err := p.shop.placeOrder(t.Context())
	require.NoError(t, err)
	sessions := p.stripe.Sessions()
	_, err = p.stripe.Pay(t.Context(), sessions[len(sessions)-1].ID)
	require.NoError(t, err)
	events := p.stripe.Events()
	return o.ID, events[len(events)-1].ID
}

func (p *program) delivered(t *testing.T, event string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, p.stripe.WaitDelivered(ctx, event))
}

func outcome(t *testing.T, db *sql.DB, event string) webhook.Outcome {
	t.Helper()
	entries, err := webhook.NewLedger(db, "").List(t.Context(), webhook.ListOptions{})
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, event, entries[0].ID)
	return entries[0].Outcome
}

// However often the webhook is delivered: one payment, one parcel, one ledger row.
func TestWebhook_PaidExactlyOnce(t *testing.T) {
	t.Parallel()
	p, db := started(t)
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
	require.Equal(t, webhook.Processed, outcome(t, db, event))
}

// While parcels cannot be written, the order stays open and the event failed; then the
// next delivery commits both.
func TestWebhook_OrderAndEventTogether(t *testing.T) {
	t.Parallel()
	p, db := started(t)
	_, err := db.ExecContext(t.Context(), `ALTER TABLE parcels ADD CONSTRAINT no_parcels CHECK (false) NOT VALID`)
	require.NoError(t, err)
	id, event := p.pay(t)
	attempts, err := p.stripe.Resend(t.Context(), event, 1)
	require.NoError(t, err)
	require.Equal(t, http.StatusInternalServerError, attempts[0].Status)
	o, err := p.shop.order(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, order{ID: id, Item: "A mug", Cents: 1400, Status: "open"}, o)
	require.Equal(t, webhook.Failed, outcome(t, db, event))

	_, err = db.ExecContext(t.Context(), `ALTER TABLE parcels DROP CONSTRAINT no_parcels`)
	require.NoError(t, err)
	p.delivered(t, event)
	o, err = p.shop.order(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, order{ID: id, Item: "A mug", Cents: 1400, Status: "paid", Parcels: 1}, o)
	require.Equal(t, webhook.Processed, outcome(t, db, event))
}

// M9: A session of another system on the same account is acknowledged: ignored if its
// reference cannot be an order's, else unmatched.
func TestWebhook_ForeignSession(t *testing.T) {
	t.Parallel()
	p, db := started(t)
	for i, reference := range []string{"cart_42", "424242", ""} {
		want := map[string]webhook.Outcome{"424242": webhook.Unmatched}[reference]
		if want == "" {
			want = webhook.Ignored
		}
		payload := []byte(`{"id":"evt_` + string(rune('a'+i)) + `","type":"checkout.session.completed",
			"data":{"object":{"id":"cs_1","object":"checkout.session","payment_status":"paid",
			"client_reference_id":"` + reference + `"}}}`)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.shop.url+"/webhook",
			strings.NewReader(string(payload)))
		require.NoError(t, err)
		req.Header.Set("Stripe-Signature", stripetest.Sign(payload, "whsec_example", time.Now()))
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.JSONEq(t, `{"received":true,"outcome":"`+string(want)+`"}`, string(body))
	}
	entries, err := webhook.NewLedger(db, "").List(t.Context(),
		webhook.ListOptions{Outcome: webhook.Ignored, Reason: webhook.ReasonNotOurs})
	require.NoError(t, err)
	require.Len(t, entries, 2)
}

// M29: An event that arrives before its order's commit is handled later.
func TestWebhook_EarlyEvent(t *testing.T) {
	t.Parallel()
	p, db := started(t)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	var id int64
	require.NoError(t, tx.QueryRowContext(t.Context(),
		`INSERT INTO orders (item, cents) VALUES ('A mug', 1400) RETURNING id`).Scan(&id))
	payload := fmt.Appendf(nil, `{"id":"evt_early","type":"checkout.session.completed","data":{"object":{
		"id":"cs_1","object":"checkout.session","payment_status":"paid","client_reference_id":"%d"}}}`, id)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.shop.url+"/webhook",
		bytes.NewReader(payload))
	require.NoError(t, err)
	req.Header.Set("Stripe-Signature", stripetest.Sign(payload, "whsec_example", time.Now()))
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, webhook.Unmatched, outcome(t, db, "evt_early"))
	require.NoError(t, tx.Commit())
	_, err = db.ExecContext(t.Context(), `UPDATE booking_platform.payment_events SET retry_at = statement_timestamp()`)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		o, err := p.shop.order(t.Context(), id)
		return err == nil && o.Status == "paid" && o.Parcels == 1
	}, patience, 50*time.Millisecond)
}

// M29: What main does: the shop's page, and the customer's way to the pay page and back.
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

// The README promises exactly-once webhooks in under 25 lines: the code lines of
// stripe.go without its imports.
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
