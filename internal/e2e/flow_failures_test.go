package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// badDeliveries sends bodies that are no event, one signed with the old secret, and one
// whose handler fails.
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

// trouble is a line that the log has to contain about a request that failed in the
// database. Its SQLSTATE is empty if the database is away.
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

// commands runs the operator's commands, with the host's environment and with a wrong
// one.
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
