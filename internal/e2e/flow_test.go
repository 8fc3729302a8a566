package e2e

import (
	"context"
	"encoding/base64"
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

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/stretchr/testify/require"
)

// flow is a host whose secrets are all planted, and all requests to it.
type flow struct {
	*incident
	*planted
	// failing replaces Stripe while it is set.
	failing atomic.Pointer[http.HandlerFunc]
	asked   int
	// said is the output of commands.
	said strings.Builder
}

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

// withPassword adds a password if the server needs none: a well-known one is no secret.
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

// visitor does not follow redirects, so that tests see the address.
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

func (f *flow) get(who *http.Client, want int, target string, headers ...string) answer {
	f.t.Helper()
	a := f.ask(who, http.MethodGet, target, "", headers...)
	require.Equal(f.t, want, a.status, "GET %s: %s", target, a.body)
	return a
}

func (f *flow) post(who *http.Client, want int, target, body string, headers ...string) answer {
	f.t.Helper()
	a := f.ask(who, http.MethodPost, target, body, headers...)
	require.Equal(f.t, want, a.status, "POST %s: %s", target, a.body)
	return a
}

// booked has the values that only its customer gets.
type booked struct {
	created
	Token string `json:"token"`
	// request is the request's id.
	request string
}

// wish asks for the first free slot.
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

func (b booked) query() string { return url.Values{"booking": {b.ID}, "token": {b.Token}}.Encode() }

// does keeps a command's output and ignores its exit code.
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

// with changes the environment of commands during do.
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

func (f *flow) stripeFails(answer http.HandlerFunc, do func()) {
	f.failing.Store(&answer)
	defer f.failing.Store(nil)
	do()
}

// loggingIn uses right and wrong passwords, and one in the wrong field; it returns an
// ADMIN.
func (f *flow) loggingIn() *http.Client {
	admin := f.visitor()
	login := func(who *http.Client, want int, email, password string) answer {
		body, err := json.Marshal(map[string]string{"email": email, "password": password})
		require.NoError(f.t, err)
		return f.post(who, want, "/auth/login", string(body), "X-Forwarded-For", f.plant("no address", ""))
	}
	login(admin, http.StatusOK, "admin@example.com", f.env["ADMIN_PASSWORD"])
	at, err := url.Parse(f.host.base)
	require.NoError(f.t, err)
	require.Len(f.t, admin.Jar.Cookies(at), 2)
	for _, c := range admin.Jar.Cookies(at) {
		f.keep("cookie "+c.Name, c.Value)
	}
	f.get(admin, http.StatusOK, "/auth/me")
	f.get(admin, http.StatusOK, "/dashboard")

	other := f.visitor()
	login(other, http.StatusUnauthorized, "admin@example.com", f.password("wrong password"))
	login(other, http.StatusUnauthorized, f.password("password for an address"), "x")
	login(other, http.StatusUnauthorized, "unknown@example.com", f.password("password of an unknown account"))
	f.post(other, http.StatusBadRequest, "/auth/login",
		`{"email":"admin@example.com","password":["`+f.plant("password in a list", "")+`"]}`)
	f.post(other, http.StatusBadRequest, "/auth/login",
		`{"email":"admin@example.com","`+f.plant("password as a name", "")+`":""}`)
	f.post(other, http.StatusBadRequest, "/auth/login", `{"password":"`+f.plant("password in bad JSON", ""))
	f.post(other, http.StatusUnsupportedMediaType, "/auth/login",
		"password="+f.plant("password in a form for JSON", ""))
	form := func(email, password string) string {
		return url.Values{"email": {email}, "password": {password}}.Encode()
	}
	f.post(other, http.StatusUnauthorized, "/login",
		form("admin@example.com", f.password("wrong password on the page")))
	f.post(other, http.StatusUnauthorized, "/login", form(f.password("password for an address on the page"), "x"))
	f.post(other, http.StatusBadRequest, "/login?"+form("admin@example.com", f.password("password in the query")),
		"x=y")
	f.get(other, http.StatusUnauthorized, "/auth/me", "Cookie",
		"booking_session="+f.plant("forged session", "")+"; booking_device="+f.plant("forged device", ""))
	f.get(other, http.StatusUnauthorized, "/auth/me", "Authorization",
		"Basic "+base64.StdEncoding.EncodeToString([]byte("admin:"+f.password("basic password"))))
	f.get(other, http.StatusFound, "/dashboard?secret="+f.plant("query of a page that needs a session", ""))

	ops := f.password("password of ops")
	require.Contains(f.t, f.does(ops+"\n", "user", "add", "--role", "OPS", "ops@example.com"), "OPS")
	login(other, http.StatusOK, "ops@example.com", ops)
	again := f.password("new password of ops")
	require.Contains(f.t, f.does(again+"\n", "user", "passwd", "ops@example.com"), "active")
	f.does(f.plant("argument", ""), "user", "add", "--role", "OPS", "ops@example.com")
	f.get(other, http.StatusUnauthorized, "/auth/me")
	login(other, http.StatusOK, "ops@example.com", again)
	f.post(other, http.StatusOK, "/auth/logout", "")
	return admin
}

// customers book, pay, look, move and cancel by their links, and calendars read their
// feed; the booking returned is paid and stays.
func (f *flow) customers(admin *http.Client) booked {
	who := f.visitor()
	f.post(who, http.StatusBadRequest, "/api/bookings", `{"email":"`+f.plant("address in bad JSON", ""))
	f.post(who, http.StatusBadRequest, "/api/bookings",
		`{"email":7,"`+f.plant("unknown field", "")+`":"`+f.plant("value of an unknown field", "")+`"}`)
	f.post(who, http.StatusForbidden, "/book", "email="+f.plant("address from elsewhere", ""), "Origin",
		"https://elsewhere.example", "Sec-Fetch-Site", "cross-site")
	paid, moved := f.book(), f.book()
	f.payFor(paid.created)
	f.payFor(moved.created)
	eventually(f.t, "paid", func(context.Context) bool {
		return strings.Contains(f.get(who, http.StatusOK, "/api/bookings/"+paid.ID, "Authorization",
			"Bearer "+paid.Token).body, "confirmed")
	})
	f.get(who, http.StatusOK, "/success?session_id="+paid.StripeSessionID)
	f.get(who, http.StatusNotFound, "/success?session_id="+f.plant("foreign session", "cs_test_"))
	f.get(who, http.StatusNotFound, "/success%3Fsession_id="+paid.StripeSessionID)
	for _, page := range []string{"/success", "/booking/cancel", "/booking/move"} {
		f.get(who, http.StatusOK, page+"?"+moved.query())
		f.get(who, http.StatusNotFound, page+"?booking="+moved.ID+"&token="+f.plant("wrong token", ""))
		// What a mail program has made of the link.
		f.get(who, http.StatusNotFound, page+url.PathEscape("?"+moved.query()))
		f.get(who, http.StatusNotFound, page+"&"+moved.query())
	}
	f.get(who, http.StatusOK, "/api/bookings/"+moved.ID+"?token="+moved.Token)
	f.get(who, http.StatusOK, "/api/bookings/"+moved.ID+"/calendar.ics?token="+moved.Token)
	f.get(who, http.StatusNotFound, "/api/bookings/"+moved.ID, "Authorization", "Bearer "+f.plant("wrong bearer", ""))
	start := newCustomer(f.t, f.host.base).firstSlot()
	f.post(who, http.StatusOK, "/api/bookings/"+moved.ID+"/reschedule", `{"start":"`+start+`"}`, "Authorization",
		"Bearer "+moved.Token)
	var link struct{ Token string }
	require.NoError(f.t,
		json.Unmarshal([]byte(f.post(admin, http.StatusOK, "/api/bookings/"+moved.ID+"/renew-link", "").body), &link))
	f.keep("renewed token", link.Token)
	f.get(who, http.StatusNotFound, "/success?"+moved.query())
	moved.Token = link.Token
	f.post(who, http.StatusSeeOther, "/booking/cancel", moved.query())
	f.post(who, http.StatusOK, "/api/bookings/"+moved.ID+"/cancel", `{"reason":"`+f.plant("reason", "")+`"}`,
		"Authorization", "Bearer "+moved.Token)

	var feed struct{ URL string }
	require.NoError(f.t,
		json.Unmarshal([]byte(f.post(admin, http.StatusCreated, "/api/resources/studio/feeds", "").body), &feed))
	_, file, _ := strings.Cut(feed.URL, "/calendar/")
	f.keep("token of a feed", strings.TrimSuffix(file, ".ics"))
	f.get(who, http.StatusOK, "/calendar/"+file)
	for _, path := range []string{"//calendar/", "/Calendar/", "/CALENDAR/", "/calendar%2F", "/webcal://host/calendar/",
		"/calendar/x/"} {
		f.ask(who, http.MethodGet, path+file, "")
	}
	f.get(who, http.StatusOK, "/calendar/"+file+"?"+f.plant("query of a feed", ""))
	require.Equal(f.t, http.StatusOK, f.ask(admin, http.MethodDelete, "/api/resources/studio/feeds", "").status)
	f.get(who, http.StatusNotFound, "/calendar/"+file)
	return paid
}
