//go:build linux

package security

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// client is somebody with a browser, at an address of their own, who follows no redirects. Cookies are kept by hand, so that the same browser can ask each host.
type client struct {
	*cluster
	t       *testing.T
	http    *http.Client
	from    string
	base    string
	cookies map[string]string
}

// address is one that nobody else has.
func (c *cluster) address() string {
	n := c.serial.Add(1)
	return fmt.Sprintf("127.%d.%d.%d", 20+n/62500, n/250%250, n%250+2)
}

// stranger is somebody new, at an address that nobody else has.
func (c *cluster) stranger(t *testing.T) *client { return c.strangerAt(t, c.address()) }

func (c *cluster) strangerAt(t *testing.T, from string) *client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: c.authority.pool},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if strings.HasPrefix(address, "booking.example.com:") {
				address = c.proxy
			}
			return dialer.DialContext(ctx, network, address)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{cluster: c, t: t, from: from, base: public, cookies: map[string]string{}, http: &http.Client{
		Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// at is the same browser, which asks a host without the proxy.
func (c *client) at(h *host) *client {
	direct := *c
	direct.base = h.base
	return &direct
}

// answer is what came back.
type answer struct {
	status  int
	header  http.Header
	cookies []*http.Cookie
	body    string
}

// brief is enough of the body for who reads a failure.
func (a answer) brief() string { return a.body[:min(len(a.body), 300)] }

// into decodes the body.
func (a answer) into(t *testing.T, v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(a.body), v), a.body)
}

// do sends a request. A header "Host" is the name that is asked for.
func (c *client) do(method, path, contentType, body string, header ...string) answer {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, strings.NewReader(body))
	require.NoError(c.t, err)
	for name, value := range c.cookies {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Add(header[i], header[i+1])
	}
	res, err := c.http.Do(req)
	require.NoError(c.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(c.t, err)
	a := answer{res.StatusCode, res.Header, res.Cookies(), string(text)}
	for _, cookie := range a.cookies {
		if c.cookies[cookie.Name] = cookie.Value; cookie.MaxAge < 0 {
			delete(c.cookies, cookie.Name)
			continue
		}
		c.know("the value of "+cookie.Name, cookie.Value)
	}
	c.note(method+" "+path, a)
	return a
}

func (c *client) get(path string, header ...string) answer {
	c.t.Helper()
	return c.do(http.MethodGet, path, "", "", header...)
}

// m is a JSON object.
type m map[string]any

func (c *client) post(path string, body m, header ...string) answer {
	c.t.Helper()
	var raw bytes.Buffer
	encoder := json.NewEncoder(&raw)
	encoder.SetEscapeHTML(false)
	require.NoError(c.t, encoder.Encode(body))
	return c.do(http.MethodPost, path, "application/json", raw.String(), header...)
}

func (c *client) form(path string, fields m, header ...string) answer {
	c.t.Helper()
	values := url.Values{}
	for name, value := range fields {
		values.Set(name, fmt.Sprint(value))
	}
	return c.do(http.MethodPost, path, "application/x-www-form-urlencoded", values.Encode(), header...)
}

// member is a user of the service, and a browser that is logged in.
type member struct {
	*client
	email, password string
}

// addUser adds a user by the command line.
func (c *cluster) addUser(t *testing.T, role string) (email, password string) {
	t.Helper()
	n := c.serial.Add(1)
	email, password = fmt.Sprintf("user%04d@example.com", n), fmt.Sprintf("correct horse %04d battery", n)
	c.know("a password", password)
	c.command(t, password+"\n", "user", "add", "-role", role, email)
	return email, password
}

func (c *cluster) member(t *testing.T, role string) member {
	t.Helper()
	email, password := c.addUser(t, role)
	m := member{c.stranger(t), email, password}
	m.login(m.client)
	return m
}

// login logs the member in with some browser.
func (m member) login(browser *client) {
	m.t.Helper()
	a := browser.logIn(m.email, m.password)
	require.Equal(m.t, http.StatusOK, a.status, a.body)
}

func (c *client) logIn(email, password string) answer {
	c.t.Helper()
	return c.patiently(func() answer { return c.post("/auth/login", m{"email": email, "password": password}) })
}

// logInByForm does what the page does.
func (c *client) logInByForm(email, password, next string, header ...string) answer {
	c.t.Helper()
	fields := m{"email": email, "password": password}
	if next != "" {
		fields["next"] = next
	}
	return c.patiently(func() answer { return c.form("/login", fields, header...) })
}

// patiently asks again where the machine was too busy to compare a password.
func (c *client) patiently(ask func() answer) (a answer) {
	c.t.Helper()
	for range 5 {
		if a = ask(); a.status != http.StatusServiceUnavailable {
			break
		}
	}
	return a
}

const (
	sessionName = "__Host-booking_session"
	deviceName  = "__Host-booking_device"
)

// onEvery is what the session of a browser is worth on each host, asked without the proxy.
func (c *client) onEvery() (statuses []int) {
	c.t.Helper()
	for _, h := range c.hosts {
		statuses = append(statuses, c.at(h).get("/auth/me").status)
	}
	return statuses
}

var (
	everywhere = []int{http.StatusOK, http.StatusOK, http.StatusOK}
	nowhere    = []int{http.StatusUnauthorized, http.StatusUnauthorized, http.StatusUnauthorized}
)

// with is a browser of its own that carries one session.
func (c *client) with(token string) *client {
	other := *c
	other.cookies = map[string]string{sessionName: token}
	return &other
}

// someone is an address of e-mail that nobody else has.
func (c *cluster) someone() string { return fmt.Sprintf("someone%04d@example.com", c.serial.Add(1)) }

// created is the answer to a booking.
type created struct{ ID, URL, StripeSessionID, Status, Token string }

// wish is the body of a booking.
func wish(room, start, email string) m {
	return m{"resource": room, "start": start, "firstName": "Ada", "lastName": "Lovelace", "email": email}
}

// slots are the free ones of a room.
func (c *client) slots(room string) (starts []string) {
	c.t.Helper()
	var free struct{ Items []struct{ Start string } }
	from := time.Now().AddDate(0, 0, 3).Format(time.DateOnly)
	c.get("/api/resources/"+room+"/availability?from="+from).into(c.t, &free)
	for _, s := range free.Items {
		starts = append(starts, s.Start)
	}
	require.NotEmpty(c.t, starts)
	return starts
}

// book holds a slot.
func (c *client) book(room, start, email string) (b created) {
	c.t.Helper()
	a := c.post("/api/bookings", wish(room, start, email))
	require.Equal(c.t, http.StatusCreated, a.status, a.brief())
	a.into(c.t, &b)
	c.know("the token of a booking", b.Token)
	return b
}
