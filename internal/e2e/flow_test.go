package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// flow is a host whose secrets are all planted, with every request that is sent to it.
type flow struct {
	*incident
	*planted
	// failing replaces Stripe while it is set.
	failing atomic.Pointer[http.HandlerFunc]
	asked   int
	// said is the output of commands.
	said strings.Builder
}

// answer is the response to the request with this id.
type answer struct {
	id, body string
	status   int
	header   http.Header
}

func newFlow(t *testing.T) *flow {
	t.Helper()
	f := &flow{planted: &planted{values: map[string]string{}},
		incident: &incident{t: t, url: testdb.URL(t), names: map[string]string{}}}
	f.db = testdb.Open(t, testdb.PQ, f.url)
	var through string
	f.proxy, through = newDBProxy(t, f.url)
	f.stripe = newStripe(t, stripetest.Options{
		SecretKey: f.plant("Stripe's key", "sk_test_"), WebhookSecret: f.plant("webhook secret", "whsec_"),
		Deliver: func(stripetest.Event) []time.Duration { return []time.Duration{0} },
	})
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if failing := f.failing.Load(); failing != nil {
			(*failing)(w, r)
			return
		}
		f.stripe.ServeHTTP(w, r)
	}))
	t.Cleanup(api.Close)
	session, old := f.plant("session secret", ""), f.plant("old session secret", "")
	f.env = f.stripe.env(f.withPassword(through))
	for name, value := range map[string]string{
		"STRIPE_API_BASE": api.URL, "STRIPE_WEBHOOK_SECRET": f.stripe.secret + "," + f.plant("old webhook secret",
			"whsec_"),
		"SESSION_SECRET": session + session + "," + old + old, "ADMIN_EMAIL": "admin@example.com",
		"ADMIN_PASSWORD": f.password("ADMIN_PASSWORD"),
		"PORT":           aPort(t), "METRICS_ADDR": "off", "TRUST_PROXY": "1", "HOLDS_PER_EMAIL": "0",
	} {
		f.env[name] = value
	}
	keys, err := booking.DeriveOwnerSecrets(strings.Split(f.env["SESSION_SECRET"], ","))
	require.NoError(t, err)
	for _, key := range keys {
		f.keep("key of owner tokens", key)
	}
	f.host = startHost(t, f.env)
	f.stripe.pointAt(f.host)
	return f
}

// withPassword adds a password to the URL if the server needs none. A well-known password
// is no secret.
func (f *flow) withPassword(database string) string {
	u, err := url.Parse(database)
	require.NoError(f.t, err)
	password, set := u.User.Password()
	if !set {
		password = f.password("database password")
		u.User = url.UserPassword(u.User.Username(), password)
	} else if len(password) >= 16 {
		f.keep("database password", password)
	}
	return u.String()
}

// visitor is a browser that does not follow redirects, so that tests see the address.
func (f *flow) visitor() *http.Client {
	jar, err := cookiejar.New(nil)
	require.NoError(f.t, err)
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request,
		[]*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

// ask sends a request with a new id, which the response has to repeat. A body that begins
// with a brace is JSON, any other a form.
func (f *flow) ask(who *http.Client, method, target, body string, headers ...string) answer {
	f.t.Helper()
	f.asked++
	id := fmt.Sprintf("flow-%04d", f.asked)
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.host.base+target, strings.NewReader(body))
	require.NoError(f.t, err)
	req.Header.Set("X-Request-Id", id)
	switch {
	case strings.HasPrefix(body, "{"):
		req.Header.Set("Content-Type", "application/json")
	case body != "":
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := who.Do(req)
	require.NoError(f.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(f.t, err)
	require.Equal(f.t, id, resp.Header.Get("X-Request-Id"), "%s %s", method, target)
	return answer{id: id, body: string(text), status: resp.StatusCode, header: resp.Header}
}

// get requests a page or a file, and fails on another status.
func (f *flow) get(who *http.Client, want int, target string, headers ...string) answer {
	f.t.Helper()
	a := f.ask(who, http.MethodGet, target, "", headers...)
	require.Equal(f.t, want, a.status, "GET %s: %s", target, a.body)
	return a
}

// post sends JSON or a form.
func (f *flow) post(who *http.Client, want int, target, body string, headers ...string) answer {
	f.t.Helper()
	a := f.ask(who, http.MethodPost, target, body, headers...)
	require.Equal(f.t, want, a.status, "POST %s: %s", target, a.body)
	return a
}

// booked is the response to a booking, with the values that only its customer gets.
type booked struct {
	created
	Token string `json:"token"`
	// request is the id of the request.
	request string
}

// wish is the body of a booking of the first free slot.
func (f *flow) wish() string {
	body, err := json.Marshal(map[string]string{
		"start": newCustomer(f.t, f.host.base).firstSlot(), "firstName": f.plant("first name", ""),
		"lastName": f.plant("last name", ""),
		"email":    f.plant("customer's address", "") + "@example.com",
	})
	require.NoError(f.t, err)
	return string(body)
}

func (f *flow) book() booked {
	f.t.Helper()
	a := f.post(f.visitor(), http.StatusCreated, "/api/bookings", f.wish(), "Idempotency-Key",
		f.plant("idempotency key", ""))
	b := booked{request: a.id}
	require.NoError(f.t, json.Unmarshal([]byte(a.body), &b))
	f.keep("owner token", b.Token)
	// A session id opens the booking's page.
	f.keep("Checkout Session", b.StripeSessionID)
	return b
}

// query is the query of a link to the booking.
func (b booked) query() string { return url.Values{"booking": {b.ID}, "token": {b.Token}}.Encode() }

// does runs a command with the host's environment, ignores its exit code, and keeps its
// output.
func (f *flow) does(in string, args ...string) string {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary.path, args...)
	cmd.Stdin = strings.NewReader(in)
	for name, value := range f.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, _ := cmd.CombinedOutput()
	require.NotEmpty(f.t, out, args)
	fmt.Fprintf(&f.said, "$ host %s\n%s", strings.Join(args, " "), out)
	return string(out)
}

// with calls do with a changed environment for commands.
func (f *flow) with(changes map[string]string, do func()) {
	was := f.env
	f.env = map[string]string{}
	for _, from := range []map[string]string{was, changes} {
		for name, value := range from {
			f.env[name] = value
		}
	}
	defer func() { f.env = was }()
	do()
}

// stripeFails answers every call to Stripe during do.
func (f *flow) stripeFails(answer http.HandlerFunc, do func()) {
	f.failing.Store(&answer)
	defer f.failing.Store(nil)
	do()
}
