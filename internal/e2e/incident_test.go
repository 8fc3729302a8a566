package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/stretchr/testify/require"
)

// incident is a host with a paid booking, in a situation of RUNBOOK.md.
type incident struct {
	t      *testing.T
	url    string
	db     *sql.DB
	stripe *stripeWorld
	host   *host
	env    map[string]string
	// names are the page's variables: PAYMENT, REFUND, EVENT, BOOKING.
	names map[string]string
	proxy *dbProxy
	paid  created
}

// situation prepares a section of the runbook: before runs before the block of that
// number, after runs after all.
type situation struct {
	stripe  stripetest.Options
	standIn bool
	// env overrides the host's environment; url is that of a database, "" makes one.
	env    map[string]string
	url    string
	before map[int]func(*incident)
	after  func(*incident)
}

func newIncident(t *testing.T, s situation) *incident {
	t.Helper()
	if s.url == "" {
		s.url = testdb.URL(t)
	}
	n := &incident{t: t, url: s.url, names: map[string]string{}}
	n.db = testdb.Open(t, testdb.PQ, n.url)
	var url string
	n.proxy, url = newDBProxy(t, n.url)
	port := aPort(t)
	s.stripe.Deliver = func(stripetest.Event) []time.Duration { return []time.Duration{0} }
	n.stripe = newStripe(t, s.stripe)
	n.env = n.stripe.env(url)
	if s.standIn {
		n.env = map[string]string{"DATABASE_URL": url}
	}
	n.env["PORT"], n.env["METRICS_ADDR"] = port, "off"
	n.env["SESSION_SECRET"] = "a secret of this test alone 32 bytes or more"
	maps.Copy(n.env, s.env)
	n.host = startHost(t, n.env)
	n.stripe.pointAt(n.host)
	n.command("a long enough password\n", "user", "add", "--role", "OPS", "ada@example.com")
	if !s.standIn {
		n.paid = n.pay()
	}
	return n
}

// aPort is for PORT, so that commands know it too.
func aPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
}

func (n *incident) command(in string, args ...string) string {
	n.t.Helper()
	cmd := exec.CommandContext(n.t.Context(), binary.path, args...)
	cmd.Stdin = strings.NewReader(in)
	for name, value := range n.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	require.NoError(n.t, err, string(out))
	return string(out)
}

func (n *incident) book() created {
	n.t.Helper()
	ada := newCustomer(n.t, n.host.base)
	return ada.book(ada.firstSlot())
}

func (n *incident) pay() created {
	n.t.Helper()
	b := n.book()
	n.payFor(b)
	return b
}

func (n *incident) payFor(b created) {
	n.t.Helper()
	_, err := n.stripe.Pay(n.t.Context(), b.StripeSessionID)
	require.NoError(n.t, err)
	require.NoError(n.t, n.stripe.WaitDelivered(n.t.Context()))
}

func (n *incident) exec(query string, args ...any) {
	n.t.Helper()
	_, err := n.db.ExecContext(n.t.Context(), query, args...)
	require.NoError(n.t, err)
}

func (n *incident) value(query string, args ...any) (value string) {
	n.t.Helper()
	require.NoError(n.t, n.db.QueryRowContext(n.t.Context(), query, args...).Scan(&value))
	return value
}

// paymentOf also sets PAYMENT and BOOKING for the page.
func (n *incident) paymentOf(b created) string {
	n.t.Helper()
	id := n.value(`SELECT id::text FROM booking_platform.payments WHERE booking_id = $1::uuid`, b.ID)
	n.names["PAYMENT"], n.names["BOOKING"] = id, b.ID
	return id
}

func (n *incident) deliver(event map[string]any, secret string) int {
	n.t.Helper()
	payload, err := json.Marshal(event)
	require.NoError(n.t, err)
	req, err := http.NewRequestWithContext(n.t.Context(), http.MethodPost, n.host.base+"/webhook",
		bytes.NewReader(payload))
	require.NoError(n.t, err)
	req.Header.Set("Stripe-Signature", stripetest.Sign(payload, secret, time.Now()))
	resp, err := http.DefaultClient.Do(req)
	require.NoError(n.t, err)
	require.NoError(n.t, resp.Body.Close())
	return resp.StatusCode
}

func (n *incident) get(path, cookie string) int {
	n.t.Helper()
	req, err := http.NewRequestWithContext(n.t.Context(), http.MethodGet, n.host.base+path, nil)
	require.NoError(n.t, err)
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(n.t, err)
	require.NoError(n.t, resp.Body.Close())
	return resp.StatusCode
}

// login returns the session cookie as name=value.
func (n *incident) login(email, password string) string {
	n.t.Helper()
	body, err := json.Marshal(map[string]string{"email": email, "password": password})
	require.NoError(n.t, err)
	resp, err := http.Post(n.host.base+"/auth/login", "application/json", bytes.NewReader(body))
	require.NoError(n.t, err)
	require.NoError(n.t, resp.Body.Close())
	for _, c := range resp.Cookies() {
		if strings.HasSuffix(c.Name, "booking_session") {
			return c.Name + "=" + c.Value
		}
	}
	n.t.Fatalf("no session: %s", resp.Status)
	return ""
}

// block leaves a transaction open that another session has waited for for two seconds.
func (n *incident) block() {
	n.t.Helper()
	const statement = `UPDATE booking_platform.resources SET name = name`
	var open [2]*sql.Tx
	for i := range open {
		tx, err := n.db.BeginTx(context.Background(), nil)
		require.NoError(n.t, err)
		open[i] = tx
	}
	// In this order: a rollback waits for the statement of its transaction.
	n.t.Cleanup(func() { _, _ = open[0].Rollback(), open[1].Rollback() })
	_, err := open[0].ExecContext(n.t.Context(), statement)
	require.NoError(n.t, err)
	go func() { _, _ = open[1].Exec(statement) }()
	n.eventually("blocked", func() bool {
		return n.value(`SELECT count(*)::text FROM pg_stat_activity a WHERE cardinality(pg_blocking_pids(a.pid)) > 0
			AND a.datname = current_database() AND a.query_start < clock_timestamp() - interval '2 seconds'`) == "1"
	})
}

// The page's commands then find the events.
func (n *incident) stopRetries() {
	n.exec(`UPDATE booking_platform.payment_events SET retry_at = 'infinity' WHERE outcome IN ('failed', 'unmatched')`)
}

func (n *incident) eventually(what string, condition func() bool) {
	n.t.Helper()
	eventually(n.t, what, func(context.Context) bool { return condition() })
}

type line map[string]any

type logLines []line

// Each line is JSON with time, level and message, except the one that prints the host's
// address.
func parse(t *testing.T, log string) (all logLines) {
	t.Helper()
	for text := range strings.Lines(log) {
		if strings.HasPrefix(text, "booking-platform is at ") {
			continue
		}
		var l line
		require.NoError(t, json.Unmarshal([]byte(text), &l), text)
		at, err := time.Parse(time.RFC3339, l.text("time"))
		require.NoError(t, err, text)
		require.WithinDuration(t, time.Now(), at, time.Hour)
		require.Contains(t, []string{"INFO", "WARN", "ERROR"}, l.text("level"), text)
		require.NotEmpty(t, l.text("msg"), text)
		all = append(all, l)
	}
	require.NotEmpty(t, all)
	return all
}

func (l line) text(name string) string {
	if l[name] == nil {
		return ""
	}
	return fmt.Sprint(l[name])
}

func (all logLines) where(name, value string) (some logLines) {
	for _, l := range all {
		if l.text(name) == value {
			some = append(some, l)
		}
	}
	return some
}

func (all logLines) of(id string) (messages []string) {
	for _, l := range all.where("request_id", id) {
		messages = append(messages, l.text("msg"))
	}
	return messages
}
