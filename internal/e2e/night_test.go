package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// night is a host with a booking that was paid, and what has gone wrong with it.
type night struct {
	t      *testing.T
	url    string
	db     *sql.DB
	stripe *stripeWorld
	host   *host
	env    map[string]string
	// names are what the page calls by a name: PAYMENT, REFUND, EVENT, BOOKING.
	names map[string]string
	proxy *dbProxy
	paid  created
}

// situation is what a section of the runbook is about: before, by the number of the block
// that it comes before, and after all of them.
type situation struct {
	stripe stripetest.Options
	// standIn is a host with the stand-in of its own.
	standIn bool
	before  map[int]func(*night)
	after   func(*night)
}

func newNight(t *testing.T, s situation) *night {
	t.Helper()
	n := &night{t: t, url: testdb.URL(t), names: map[string]string{}}
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
	n.host = startHost(t, n.env)
	n.stripe.pointAt(n.host)
	n.command("a long enough password\n", "user", "add", "--role", "OPS", "ada@example.com")
	if !s.standIn {
		n.paid = n.pay()
	}
	return n
}

// aPort is a port that a host can be told, so that commands beside it know it too.
func aPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
}

// command runs the binary beside the host.
func (n *night) command(in string, args ...string) string {
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

// book holds the first slot that is free.
func (n *night) book() created {
	n.t.Helper()
	ada := newCustomer(n.t, n.host.base)
	return ada.book(ada.firstSlot())
}

func (n *night) pay() created {
	n.t.Helper()
	b := n.book()
	n.payFor(b)
	return b
}

func (n *night) payFor(b created) {
	n.t.Helper()
	_, err := n.stripe.Pay(n.t.Context(), b.StripeSessionID)
	require.NoError(n.t, err)
	require.NoError(n.t, n.stripe.WaitDelivered(n.t.Context()))
}

func (n *night) exec(query string, args ...any) {
	n.t.Helper()
	_, err := n.db.ExecContext(n.t.Context(), query, args...)
	require.NoError(n.t, err)
}

func (n *night) value(query string, args ...any) (value string) {
	n.t.Helper()
	require.NoError(n.t, n.db.QueryRowContext(n.t.Context(), query, args...).Scan(&value))
	return value
}

// paymentOf names the payment of a booking for the page.
func (n *night) paymentOf(b created) string {
	n.t.Helper()
	id := n.value(`SELECT id::text FROM booking_platform.payments WHERE booking_id = $1::uuid`, b.ID)
	n.names["PAYMENT"], n.names["BOOKING"] = id, b.ID
	return id
}

// deliver sends an event to the host, signed with a secret, and returns the status.
func (n *night) deliver(event map[string]any, secret string) int {
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

// get asks the host for a path, with a cookie or "", and returns the status.
func (n *night) get(path, cookie string) int {
	n.t.Helper()
	req, err := http.NewRequestWithContext(n.t.Context(), http.MethodGet, n.host.base+path, http.NoBody)
	require.NoError(n.t, err)
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(n.t, err)
	require.NoError(n.t, resp.Body.Close())
	return resp.StatusCode
}

// login returns the session cookie of a user as name=value.
func (n *night) login(email, password string) string {
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

// never keeps the host's own steps from what a person is to see.
func (n *night) never() {
	n.exec(`UPDATE booking_platform.payment_events SET retry_at = 'infinity' WHERE outcome IN ('failed', 'unmatched')`)
}

// eventually waits for what the host does by itself.
func (n *night) eventually(what string, condition func() bool) {
	n.t.Helper()
	eventually(n.t, what, func(context.Context) bool { return condition() })
}
