//go:build linux

package security

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// ugly would forge a log line and send control sequences to a terminal.
const ugly = "x\r\n{\"level\":\"INFO\",\"msg\":\"forged\"}\n\x1b[2J\x1b]0;x\x07\u009b31m\u0085\u2028\x7f"

// raw sends bytes that client libraries refuse to, and returns the answer's first line.
func (c *client) raw(h *host, request string) string {
	c.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(c.from)}, Timeout: 10 * time.Second}
	conn, err := dialer.DialContext(c.t.Context(), "tcp", strings.TrimPrefix(h.base, "http://"))
	require.NoError(c.t, err)
	defer conn.Close()
	require.NoError(c.t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	_, err = conn.Write([]byte(request))
	require.NoError(c.t, err)
	answer, _ := io.ReadAll(conn)
	line, _, _ := strings.Cut(string(answer), "\r\n")
	return line
}

func escapedLines(t *testing.T, c *cluster) {
	visitor := c.stranger(t)
	h := c.hosts[0]
	escaped := url.PathEscape(ugly)
	resource := c.addResource(t)
	start := visitor.slots(resource)[0]
	// In ids of requests, bookings, sessions, resources and events.
	for _, path := range []string{"/ugly-path-" + escaped, "/api/bookings/" + escaped, "/api/resources/" + escaped +
		"/availability", "/success?session_id=" + escaped, "/calendar/" + escaped + ".ics"} {
		require.GreaterOrEqual(t, visitor.at(h).get(path).status, 400, path)
	}
	for _, line := range []string{"X-Request-Id: abcdefgh" + ugly,
		"X-Request-Id: " + strings.ReplaceAll(ugly, "\r\n", ""), "User-Agent: \x1b[31mred\x1b[0m\u009b",
		"Idempotency-Key: \x1b[2J", "Cookie: " + sessionName + "=\x1b[2J"} {
		require.Contains(t, visitor.raw(h, "GET /ugly-header HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+line+
			"\r\n\r\n"), "HTTP/1.1 4", "%q", line)
	}
	require.Contains(t, visitor.raw(h, "GET /ugly\x1b[2J\x07 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
		"HTTP/1.1 4")
	require.Contains(t, visitor.raw(h, "G\x1b[2JT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "HTTP/1.1 4")
	// Header values may have bytes above ASCII, control characters among them.
	require.Contains(t, visitor.raw(h, "GET /ugly-agent HTTP/1.1\r\nHost: x\r\nUser-Agent: \u009b31mred\r\nX-Request-Id: \u009b31mred-id\r\nX-Forwarded-For: \u009b2J\r\nConnection: close\r\n\r\n"), "HTTP/1.1 404")
	events := 0
	for _, field := range []string{"id", "type", "api_version", "account"} {
		event := map[string]any{"id": fmt.Sprintf("evt_ugly%d", events), "object": "event", "type": "customer.ugly",
			"created": time.Now().Unix(),
			"data": m{"object": m{"id": "cs_" + ugly, "object": "checkout.session", "payment_intent": ugly,
				"client_reference_id": ugly, "metadata": m{"request_id": ugly, "payment_id": ugly}}}}
		event[field] = fmt.Sprint(event[field]) + ugly
		payload, err := json.Marshal(event)
		require.NoError(t, err)
		a := visitor.at(h).do(http.MethodPost, "/webhook", "application/json", string(payload), "Stripe-Signature",
			stripetest.Sign(payload, webhookSecret, time.Now()))
		require.Contains(t, []int{http.StatusOK, http.StatusBadRequest}, a.status, "%s: %s", field, a.brief())
		events++
	}
	// Names are refused or stored, and never logged.
	for _, field := range []string{"firstName", "lastName", "email", "resource"} {
		body := bookingRequest(resource, start, c.someone())
		body[field] = ugly
		require.Equal(t, http.StatusBadRequest, visitor.at(h).post("/api/bookings", body).status, field)
	}
	ops := c.member(t, "OPS")
	b := visitor.book(resource, start, c.someone())
	require.Contains(t, []int{http.StatusOK, http.StatusBadRequest},
		ops.at(h).post("/api/bookings/"+b.ID+"/cancel", m{"reason": ugly}).status)
	require.GreaterOrEqual(t, visitor.at(h).logIn(ugly, ugly).status, 400)
	require.GreaterOrEqual(t, visitor.at(h).logInByForm("u"+ugly, ugly, ugly).status, 400)

	// What the hosts have logged during all tests.
	eventually(t, "the requests are in the log", func() bool {
		return strings.Contains(h.log.String(), "ugly-agent") && strings.Contains(h.log.String(), "evt_ugly2")
	})
	for _, h := range c.hosts {
		log := h.log.String()
		require.NotEmpty(t, log)
		for line := range strings.Lines(log) {
			if !strings.HasSuffix(line, "\n") {
				continue // It is being written.
			}
			var entry struct{ Time, Level, Msg string }
			require.NoError(t, json.Unmarshal([]byte(line), &entry), line)
			require.NotEmpty(t, entry.Time, line)
			require.NotEmpty(t, entry.Msg, line)
			require.NotEqual(t, "forged", entry.Msg)
			control := strings.IndexFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool {
				return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == unicode.ReplacementChar
			})
			require.Negative(t, control, "%q", line)
		}
	}
	require.Contains(t, h.log.String(), `/ugly-path-x\r\n{\"level\":\"INFO\",\"msg\":\"forged\"}\n\u001b[2J`,
		"it was logged, and escaped")
}

// use obtains and uses one secret of each kind, also in refused requests.
func (c *cluster) use(t *testing.T) {
	t.Helper()
	ops := c.member(t, "OPS")
	resource := c.addResource(t)
	visitor := c.stranger(t)
	b := visitor.book(resource, visitor.slots(resource)[0], c.someone())
	feed := c.feedToken(t, ops.post("/api/resources/"+resource+"/feeds", nil))
	require.Equal(t, http.StatusOK, visitor.get("/calendar/"+feed+".ics").status)
	require.Equal(t, http.StatusNotFound, visitor.get("/x/calendar/"+feed+".ics").status)
	require.Equal(t, http.StatusOK, visitor.get("/success?booking="+b.ID+"&token="+b.Token).status)
	require.Equal(t, http.StatusSeeOther, visitor.form("/booking/cancel", m{"booking": b.ID, "token": b.Token}).status)
	require.Equal(t, http.StatusUnauthorized, visitor.logInByForm("none@example.com", ops.password, "").status)
	require.Equal(t, http.StatusBadRequest, visitor.logInByForm(strings.Repeat("x", 300), ops.password, "").status)
	require.Equal(t, http.StatusSeeOther, c.stranger(t).logInByForm(ops.email, ops.password, "/dashboard").status)
	require.Equal(t, http.StatusSeeOther, ops.form("/logout", nil).status)
}

func noSecretInLogs(t *testing.T, c *cluster) {
	c.use(t)
	c.mu.Lock()
	defer c.mu.Unlock()
	kinds := map[string]int{}
	for _, h := range c.hosts {
		log := h.log.String()
		for secret, what := range c.secrets {
			kinds[what]++
			require.False(t, strings.Contains(log, secret), "%s is in a log", what)
		}
	}
	for _, what := range []string{
		"a password", "a secret of the configuration", "the value of " + sessionName, "the value of " + deviceName,
		"the token of a booking", "the token of a feed",
	} {
		require.NotZero(t, kinds[what], what)
	}
}

// A secret is only where it is issued: a session in a cookie, a booking's token in its
// link, a feed's in its address.
func noSecretInURLs(t *testing.T, c *cluster) {
	c.use(t)
	c.mu.Lock()
	defer c.mu.Unlock()
	var everything strings.Builder
	for _, s := range c.said {
		header := s.header.Clone()
		header.Del("Set-Cookie")
		fmt.Fprintf(&everything, "%v\n%s\n", header, s.body)
		location := s.header.Get("Location")
		for secret, what := range c.secrets {
			// Only the owner's return address has it.
			mayBe := what == "the token of a booking" && strings.HasPrefix(location, "/success?booking=")
			require.False(t, !mayBe && strings.Contains(location, secret), "%s is in the URL that %s leads to", what,
				s.request)
		}
	}
	told := everything.String()
	for secret, what := range c.secrets {
		if what == "the token of a booking" || what == "the token of a feed" {
			continue
		}
		require.False(t, strings.Contains(told, secret), "%s is in an answer", what)
	}
	for _, s := range c.stripe.Sessions() {
		for secret, what := range c.secrets {
			for _, address := range []string{s.SuccessURL, s.CancelURL, s.URL} {
				require.False(t, strings.Contains(address, secret), "%s is in a URL that Stripe has", what)
			}
		}
	}
}
