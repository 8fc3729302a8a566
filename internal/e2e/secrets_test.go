package e2e

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/stretchr/testify/require"
)

// No secret is in the output of the host and its commands, whatever is requested and
// whatever fails; and each line of the log is JSON that names its request.
func TestHost_NoSecretInLogs(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	admin := f.loggingIn()
	paid := f.customers(admin)
	f.badDeliveries()
	failures := f.stripeFailures(admin, paid)
	troubles := f.databaseFailures(admin)
	f.commands()
	f.host.stop()

	log := f.host.logs()
	require.Empty(t, f.in(log), "in the log")
	// Commands may print Checkout Sessions to operators.
	for what := range f.values {
		if strings.HasPrefix(what, "Checkout Session") {
			delete(f.values, what)
		}
	}
	require.Empty(t, f.in(f.said.String()), "in what the commands write:\n"+f.said.String())

	lines := parse(t, log)
	for _, l := range lines {
		if l.text("msg") == "request" || ofRequest[l.text("msg")] {
			require.NotEmpty(t, l.text("request_id"), l)
		}
		if strings.Contains(l.text("error"), "pq: ") {
			require.NotEmpty(t, l.text("sqlstate"), l)
		}
	}
	for id, want := range failures {
		require.Contains(t, lines.of(id), want, "%s of request %s", want, id)
	}
	for id, want := range troubles {
		said := lines.where("request_id", id).where("msg", want.message)
		require.Len(t, said, 1, "%s of request %s", want.message, id)
		require.Equal(t, want.sqlstate, said[0]["sqlstate"], "%s of request %s", want.message, id)
	}
	require.Len(t, troubles, 16)
	// The refund's events, which name the booking too, arrive when the host has already
	// asked.
	webhooks := lines.where("booking_id", paid.ID).where("outcome", "processed").where("msg", "webhook delivery").
		where("event_type", "checkout.session.completed")
	require.Len(t, webhooks, 1)
	require.Equal(t, paid.request, webhooks[0].text("origin_request_id"))
	require.NotEqual(t, paid.request, webhooks[0].text("request_id"), "it has one of its own")
	session, err := f.stripe.Session(paid.StripeSessionID)
	require.NoError(t, err)
	require.Equal(t, paid.request, session.Metadata["request_id"])
	require.NotEmpty(t, lines.where("outcome", "failed").where("sqlstate", "P0001").where("msg", "webhook delivery"))
	require.NotEmpty(t, lines.where("secret_position", "2"), "an event that the old secret signed")
}

// ofRequest are the lines that only a request can have.
var ofRequest = map[string]bool{"request failed": true, "page failed": true, "login not checked": true,
	"session not checked": true, "webhook delivery": true,
	"login refused": true, "logged in": true, "not ready": true,
	"refresh of a Checkout Session failed": true}

// planted are the secrets of a test, by description.
type planted struct {
	mu     sync.Mutex
	values map[string]string
}

func (p *planted) plant(what, before string) string {
	value := before + rand.Text()
	p.keep(what, value)
	return value
}

// password has characters that have to be escaped in every format.
func (p *planted) password(what string) string {
	value := rand.Text() + `"<&>\/+% é` + rand.Text()
	p.keep(what, value)
	return value
}

// A short secret would be found by chance.
func (p *planted) keep(what, value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(value) < 16 {
		panic("too short to be looked for: " + what)
	}
	for n := 1; p.values[what] != ""; n++ {
		what = fmt.Sprintf("%s (%d)", strings.TrimRight(what, " ()0123456789"), n+1)
	}
	p.values[what] = value
}

// in finds secrets in any spelling and case: an e-mail address may be normalised.
func (p *planted) in(text string) (found []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text = strings.ToLower(text)
	for what, value := range p.values {
		for spelling, written := range spellings(value) {
			if strings.Contains(text, strings.ToLower(written)) {
				found = append(found, what+", "+spelling)
			}
		}
	}
	slices.Sort(found)
	return found
}

func spellings(value string) map[string]string {
	quoted := func(s string) string {
		text, _ := json.Marshal(s)
		return string(text[1 : len(text)-1])
	}
	plainly := func(s string) string {
		var text strings.Builder
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		_ = encoder.Encode(s)
		return strings.TrimSpace(text.String())[1 : text.Len()-2]
	}
	all := map[string]string{
		"as it is": value, "in a query": url.QueryEscape(value), "in a path": url.PathEscape(value),
		"hexadecimal": hex.EncodeToString([]byte(value)),
		"JSON":        quoted(value), "JSON without HTML": plainly(value), "JSON in JSON": quoted(quoted(value)),
		"JSON without HTML, twice": plainly(plainly(value)),
		"quoted by Go":             strings.Trim(fmt.Sprintf("%q", value), `"`),
		"quoted by Go, in JSON":    plainly(strings.Trim(fmt.Sprintf("%q", value), `"`)),
	}
	for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding,
		"base64 for URLs": base64.RawURLEncoding} {
		// What is around the value decides where in three bytes it begins, and its first
		// and last characters.
		for before := range 3 {
			text := encoding.EncodeToString(append(make([]byte, before), value...))
			if (before+len(value))%3 != 0 {
				text = text[:len(text)-1]
			}
			all[fmt.Sprintf("%s, %d bytes on", name, before)] = text[[]int{0, 2, 3}[before]:]
		}
	}
	return all
}

func TestPlanted_Spellings(t *testing.T) {
	t.Parallel()
	p := &planted{values: map[string]string{}}
	secret := p.password("password")
	line, err := json.Marshal(map[string]string{"error": `body: {"password":"` + secret + `"}`})
	require.NoError(t, err)
	twice, err := json.Marshal(map[string]string{"error": string(line)})
	require.NoError(t, err)
	for _, text := range []string{
		"x" + secret + "x", strings.ToLower(secret), string(line), string(twice), "?token=" + url.QueryEscape(secret),
		"/" + url.PathEscape(secret), fmt.Sprintf("%q", secret),
		base64.StdEncoding.EncodeToString([]byte("ada:" + secret)),
		base64.URLEncoding.EncodeToString([]byte("ad:" + secret + "\n")),
		base64.StdEncoding.EncodeToString([]byte("adam:" + secret)), fmt.Sprintf("%x", "x"+secret),
	} {
		require.NotEmpty(t, p.in(text), text)
	}
	require.Empty(t, p.in("nothing"))
}

// badDeliveries are no event, signed with the old secret, or of a handler that fails.
func (f *flow) badDeliveries() {
	event := func(id string) map[string]any {
		return map[string]any{"id": id, "object": "event", "type": "x", "data": map[string]any{}}
	}
	require.Equal(f.t, http.StatusBadRequest, f.deliver(event("evt_forged"), f.plant("wrong webhook secret", "whsec_")))
	f.post(f.visitor(), http.StatusBadRequest, "/webhook", `{"id":"`+f.plant("unsigned event", "evt_")+`"}`,
		"Stripe-Signature", f.stripe.secret)
	body := `{"client_secret":"` + f.plant("secret in an event cut short", "")
	f.post(f.visitor(), http.StatusBadRequest, "/webhook", body, "Stripe-Signature",
		stripetest.Sign([]byte(body), f.stripe.secret, time.Now()))
	_, old, _ := strings.Cut(f.env["STRIPE_WEBHOOK_SECRET"], ",")
	require.Equal(f.t, http.StatusOK, f.deliver(event("evt_of_the_old_secret"), old))

	b := f.book()
	f.exec(`CREATE FUNCTION public.broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$`)
	f.exec(`CREATE TRIGGER broken BEFORE UPDATE ON booking_platform.payments FOR EACH ROW WHEN (NEW.completed) EXECUTE FUNCTION public.broken()`)
	done := make(chan struct{})
	go func() { defer close(done); _, _ = f.stripe.Pay(f.t.Context(), b.StripeSessionID) }()
	f.eventually("failed", func() bool {
		return f.value(`SELECT count(*) FROM booking_platform.payment_events WHERE outcome = 'failed' AND type = 'checkout.session.completed'`) == "1"
	})
	f.exec(`DROP TRIGGER broken ON booking_platform.payments`)
	<-done
}

// stripeFailures makes Stripe, or a proxy before it, answer in each way that quotes the
// key and the rest of the request. It returns what the log has to contain, by request.
func (f *flow) stripeFailures(admin *http.Client, paid booked) map[string]string {
	quote := func(r *http.Request) string {
		body, _ := io.ReadAll(r.Body)
		sent, _ := url.QueryUnescape(string(body))
		return r.Header.Get("Authorization") + " " + r.Header.Get("Idempotency-Key") + " " + r.URL.String() + " " + sent
	}
	says := func(status int, kind string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"type": kind,
				"message": "Invalid API Key provided: " + quote(r)}})
		}
	}
	page := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "<html>"+quote(r)+"</html>")
		}
	}
	who, expected := f.visitor(), map[string]string{}
	const down, refused = "stripe: could not create the Checkout Session",
		"stripe: refused to create the Checkout Session; a repeat will be refused too"
	for n, answer := range []http.HandlerFunc{
		says(http.StatusUnauthorized, "invalid_request_error"), says(http.StatusInternalServerError, "api_error"),
		says(http.StatusBadRequest, "invalid_request_error"),
		page(http.StatusBadGateway), page(http.StatusOK),
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		wish := f.wish()
		f.stripeFails(answer, func() {
			a := f.post(who, http.StatusServiceUnavailable, "/api/bookings", wish)
			expected[a.id] = down
			// 401 and 400 are answers that repeat.
			if n == 0 || n == 2 {
				expected[a.id] = refused
			}
		})
		waiting := f.book()
		f.stripeFails(answer, func() {
			a := f.get(who, http.StatusOK, "/success?session_id="+waiting.StripeSessionID)
			expected[a.id] = "refresh of a Checkout Session failed"
		})
	}
	f.stripeFails(says(http.StatusUnauthorized, "invalid_request_error"), func() {
		f.post(admin, http.StatusOK, "/api/bookings/"+paid.ID+"/cancel",
			`{"reason":"`+f.plant("reason of a refund", "")+`"}`)
		eventually(f.t, "a step failed",
			func(context.Context) bool { return strings.Contains(f.host.logs(), `"step failed"`) })
		f.does("", "doctor")
	})
	return expected
}

// trouble is a log line about a request that failed in the database. Its SQLSTATE is
// empty if the database is away.
type trouble struct{ message, sqlstate string }

// databaseFailures makes the database refuse statements, then takes it away. It returns
// what the log has to contain, by request.
func (f *flow) databaseFailures(admin *http.Client) map[string]trouble {
	b := f.book()
	wish := f.wish()
	password, err := json.Marshal(f.password("password while the database fails"))
	require.NoError(f.t, err)
	who := f.visitor()
	var feed struct{ URL string }
	require.NoError(f.t,
		json.Unmarshal([]byte(f.post(admin, http.StatusCreated, "/api/resources/studio/feeds", "").body), &feed))
	_, file, _ := strings.Cut(feed.URL, "/calendar/")
	f.keep("token of a feed while the database fails", strings.TrimSuffix(file, ".ics"))
	expected := map[string]trouble{}
	everything := func(sqlstate string) {
		is := func(message string, a answer) { expected[a.id] = trouble{message, sqlstate} }
		is("request failed", f.post(who, http.StatusServiceUnavailable, "/api/bookings", wish))
		is("login not checked", f.post(who, http.StatusServiceUnavailable, "/auth/login",
			`{"email":"admin@example.com","password":`+string(password)+`}`))
		is("session not checked", f.get(admin, http.StatusServiceUnavailable, "/auth/me"))
		is("page failed", f.get(who, http.StatusServiceUnavailable, "/success?"+b.query()))
		is("page failed", f.get(who, http.StatusServiceUnavailable, "/success?session_id="+b.StripeSessionID))
		is("request failed", f.get(who, http.StatusServiceUnavailable, "/api/bookings/"+b.ID, "Authorization",
			"Bearer "+b.Token))
		is("page failed", f.post(who, http.StatusServiceUnavailable, "/booking/cancel", b.query()))
		is("request failed", f.get(who, http.StatusServiceUnavailable, "/calendar/"+file))
		require.Equal(f.t, http.StatusInternalServerError,
			f.deliver(map[string]any{"id": fmt.Sprintf("evt_%d", f.asked), "object": "event",
				"type": "checkout.session.completed"}, f.stripe.secret))
		f.get(who, http.StatusServiceUnavailable, "/health/db")
	}
	f.exec(`ALTER SCHEMA booking_platform RENAME TO elsewhere`)
	everything("42P01")
	f.does("", "events", "list")
	f.does("", "doctor")
	f.exec(`ALTER SCHEMA elsewhere RENAME TO booking_platform`)
	f.proxy.cut()
	everything("")
	f.does("", "doctor")
	f.proxy.mend()
	eventually(f.t, "ready again", func(context.Context) bool {
		return f.ask(who, http.MethodGet, "/health/db", "").status == http.StatusOK
	})
	return expected
}

// commands run with the host's environment and with a wrong one.
func (f *flow) commands() {
	for _, command := range []string{
		"events list", "events waiting", "payment list", "user list", "resource list", "migrate status", "healthcheck",
		"doctor", "doctor --base " + f.host.base,
	} {
		f.does("", strings.Fields(command)...)
	}
	u, err := url.Parse(f.env["DATABASE_URL"])
	require.NoError(f.t, err)
	u.User = url.UserPassword(u.User.Username(), f.password("wrong password of the database"))
	f.with(map[string]string{"DATABASE_URL": u.String()}, func() { f.does("", "doctor") })
	f.with(map[string]string{"DATABASE_URL": "postgres://booking:" + f.plant("password in a malformed URL", "") +
		"%zz@db/booking"}, func() {
		f.does("", "serve")
		f.does("", "migrate", "up")
		f.does("", "doctor")
	})
	f.with(map[string]string{
		"STRIPE_SECRET_KEY":     f.plant("publishable key", "pk_test_"),
		"STRIPE_WEBHOOK_SECRET": f.plant("no webhook secret", ""),
		"ADMIN_PASSWORD":        f.password("password without an address"), "ADMIN_EMAIL": "",
		"SESSION_SECRET":  f.plant("short session secret", ""),
		"APP_URL":         "https://ada:" + f.plant("password in APP_URL", "") + "@example.com",
		"STRIPE_API_BASE": "ftp://" + f.plant("in STRIPE_API_BASE", ""),
	}, func() { f.does("", "serve"); f.does("", "doctor") })
}
