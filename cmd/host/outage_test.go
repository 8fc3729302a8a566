package main_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	host "github.com/booking-platform/booking-platform/cmd/host"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// stripeDown starts a host whose Stripe can be switched: "up", or a kind of outage.
func stripeDown(t *testing.T) (*running, *stripetest.Server, *atomic.Value) {
	t.Helper()
	const key, secret = "sk_test_down", "whsec_12345678"
	mode := &atomic.Value{}
	mode.Store("up")
	standIn, err := stripetest.New(stripetest.Options{SecretKey: key})
	require.NoError(t, err)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch mode.Load() {
		case "up":
			standIn.ServeHTTP(w, r)
		case "hangs":
			// The server notices a disconnect only after the whole request.
			_ = r.ParseForm()
			<-r.Context().Done()
		case "cuts":
			panic(http.ErrAbortHandler)
		case "500":
			w.WriteHeader(http.StatusInternalServerError)
		case "refuses the amount":
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error":{"type":"invalid_request_error","code":"amount_too_small","message":"sk_test_down: at least 50"}}`))
		case "refuses the key":
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":{"type":"invalid_request_error",` +
				`"message":"Invalid API Key provided: sk_test_down"}}`))
		case "asks to be left alone":
			w.Header().Set("Retry-After", "17")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = w.Write([]byte(`{"error":{"type":"invalid_request_error","code":"rate_limit","message":"later"}}`))
		}
	}))
	t.Cleanup(api.Close)
	h := startHost(t, map[string]string{"STRIPE_SECRET_KEY": key, "STRIPE_WEBHOOK_SECRET": secret,
		"STRIPE_API_BASE": api.URL})
	return h, standIn, mode
}

// A checkout fails within ten seconds and frees the slot, other routes are not affected,
// and the host recovers with Stripe.
func TestOutage_StripeDown(t *testing.T) {
	t.Parallel()
	for how, retry := range map[string]int{"hangs": 5, "cuts": 5, "500": 5, "asks to be left alone": 17} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			h, standIn, mode := stripeDown(t)
			ada := h.client()
			mode.Store(how)
			const customers = 8
			free := make([]string, customers)
			for i := range free {
				free[i] = ada.slot(i)
			}
			answers := make(chan answer, customers)
			began := time.Now()
			for i := range customers {
				go func() {
					answers <- ada.post("/api/bookings", wish(free[i], m{"email": fmt.Sprintf("c%d@example.com", i)}))
				}()
			}
			for _, path := range []string{"/health", "/health/db", "/", "/api/resources", "/login",
				"/success?session_id=cs_unknown"} {
				asked := time.Now()
				a := ada.get(path)
				require.Less(t, a.status, 500, path)
				require.Less(t, time.Since(asked), 2*time.Second, path)
			}
			for range customers {
				a := <-answers
				require.Equal(t, http.StatusServiceUnavailable, a.status, a.body)
				code, _ := a.code(t)
				require.Equal(t, "payment_unavailable", code)
				require.Equal(t, strconv.Itoa(retry), a.header.Get("Retry-After"))
			}
			require.Less(t, time.Since(began), 10*time.Second)
			for i := range free {
				require.Equal(t, free[i], ada.slot(i), "free again")
			}
			page := ada.form("/book", filled(free[0], "k"))
			require.Equal(t, http.StatusServiceUnavailable, page.status)
			require.Equal(t, strconv.Itoa(retry), page.header.Get("Retry-After"))

			mode.Store("up")
			require.Equal(t, http.StatusCreated, ada.post("/api/bookings", wish(free[0], nil)).status)
			require.NotEmpty(t, standIn.Sessions())
		})
	}
}

// M24: A permanent refusal has its own code, message, count and alert, and no
// Retry-After; the slot is free again.
func TestOutage_StripeRefuses(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"refuses the amount", "refuses the key"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			h, _, mode := stripeDown(t)
			ada := h.client()
			mode.Store(how)
			free := ada.slot(0)
			for _, path := range []string{"/api/bookings", "/create-checkout-session"} {
				a := ada.post(path, wish(free, nil))
				require.Equal(t, http.StatusServiceUnavailable, a.status, a.body)
				code, _ := a.code(t)
				require.Equal(t, "payment_refused", code)
				require.Empty(t, a.header.Get("Retry-After"))
				var body struct{ Message string }
				a.into(t, &body)
				require.Contains(t, body.Message, "Nothing was charged")
				require.NotContains(t, a.body, "sk_test_down")
				require.Equal(t, free, ada.slot(0), "free again")
			}
			page := ada.form("/book", filled(free, "k"))
			require.Equal(t, http.StatusServiceUnavailable, page.status)
			require.Empty(t, page.header.Get("Retry-After"))
			require.Contains(t, page.body, "trying again will not help")
			require.Contains(t, h.log.String(), "stripe: refused to create the Checkout Session")
			require.NotContains(t, h.log.String(), "could not create the Checkout Session")
			mode.Store("up")
			require.Equal(t, http.StatusCreated, ada.post("/api/bookings", wish(free, nil)).status)
		})
	}
}

// Both together take at most ten seconds, and the hold is given up.
func TestOutage_DatabaseSlowAndStripeHangs(t *testing.T) {
	t.Parallel()
	h, _, mode := stripeDown(t)
	ada := h.client()
	free := ada.slot(0)
	mode.Store("hangs")
	lock, err := h.db.Begin()
	require.NoError(t, err)
	defer func() { _ = lock.Rollback() }()
	_, err = lock.Exec(`LOCK TABLE booking_platform.bookings IN EXCLUSIVE MODE`)
	require.NoError(t, err)
	began := time.Now()
	answered := make(chan answer, 1)
	go func() { answered <- ada.post("/api/bookings", wish(free, nil)) }()
	// The measured time shows that the hold's part of it is limited.
	time.AfterFunc(4*time.Second, func() { _ = lock.Rollback() })
	a := <-answered
	require.Equal(t, http.StatusServiceUnavailable, a.status, a.body)
	require.Greater(t, time.Since(began), 4*time.Second, "it has waited for the database")
	require.Less(t, time.Since(began), 10*time.Second)
	require.Equal(t, free, ada.slot(0), "free again")
}

// The page is shown unconfirmed after little more than two seconds.
func TestOutage_SuccessPageWhileStripeHangs(t *testing.T) {
	t.Parallel()
	h, standIn, mode := stripeDown(t)
	ada := h.client()
	var b created
	ada.post("/api/bookings", wish(ada.slot(0), nil)).into(t, &b)
	_, err := standIn.Pay(t.Context(), b.StripeSessionID)
	require.NoError(t, err)
	mode.Store("hangs")
	began := time.Now()
	page := ada.get("/success?session_id=" + b.StripeSessionID)
	require.Less(t, time.Since(began), 5*time.Second)
	require.Contains(t, page.body, "Waiting for your payment")
	mode.Store("up")
	require.Contains(t, ada.get("/success?session_id="+b.StripeSessionID).body, "Your booking is confirmed",
		"no webhook came: Stripe was asked")
}

// M23: Reloads read Stripe once per payment in a few seconds, and do not delay refunds.
func TestSuccessPage_ReadsStripeOnce(t *testing.T) {
	t.Parallel()
	const key, secret = "sk_test_reads", "whsec_12345678"
	standIn, err := stripetest.New(stripetest.Options{SecretKey: key})
	require.NoError(t, err)
	var reads atomic.Int32
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/v1/checkout/sessions/") {
			reads.Add(1)
			w.Header().Set("Retry-After", "600")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = w.Write([]byte(`{"error":{"type":"invalid_request_error","code":"rate_limit","message":"later"}}`))
			return
		}
		standIn.ServeHTTP(w, r)
	}))
	t.Cleanup(api.Close)
	env := map[string]string{
		"STRIPE_SECRET_KEY": key, "STRIPE_WEBHOOK_SECRET": secret, "STRIPE_API_BASE": api.URL,
		"DATABASE_URL": testdb.URL(t), "DATA_DIR": t.TempDir(),
	}
	h := startHost(t, env)
	ada := h.client()
	var paid, open created
	ada.post("/api/bookings", wish(ada.slot(0), nil)).into(t, &paid)
	ada.post("/api/bookings", wish(ada.slot(1), nil)).into(t, &open)
	charged, err := standIn.Pay(t.Context(), paid.StripeSessionID)
	require.NoError(t, err)
	for range 100 {
		require.Equal(t, http.StatusOK, ada.get("/success?session_id="+open.StripeSessionID).status)
		require.Equal(t, http.StatusOK, ada.get("/success?n=1&session_id="+open.StripeSessionID).status)
	}
	require.EqualValues(t, 1, reads.Load(), "and no more after Retry-After")
	_, err = h.db.Exec(`UPDATE booking_platform.payments SET completed = true, captured_minor = amount_minor, captured_currency = currency,
		stripe_payment_intent_id = $2 WHERE booking_id = $1::uuid`, paid.ID, charged.PaymentIntentID)
	require.NoError(t, err)
	status, _, stderr := command(t, env, "payment", "refund", "--cause", "case 1", paid.ID)
	require.Equal(t, 0, status, stderr)
	eventually(t, "the refund is made", func() bool { return len(standIn.Refunds()) == 1 })
}

// eventually polls a condition, for up to the minute that the fake may wait between
// deliveries.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			t.Fatal("never: " + what)
		case <-tick.C:
		}
	}
}

// Meanwhile every route answers quickly without internals; afterwards all works without a
// restart, and payments are confirmed by the next delivery.
func TestOutage_DatabaseDown(t *testing.T) {
	t.Parallel()
	proxy, through := newDBProxy(t, testdb.URL(t))
	h := startHost(t, map[string]string{"DATABASE_URL": through})
	ada, admin := h.client(), h.admin()
	start, later := ada.slot(0), ada.slot(1)
	var b created
	ada.post("/api/bookings", wish(start, nil)).into(t, &b)

	proxy.cut()
	_, err := h.StripeFake().Pay(t.Context(), b.StripeSessionID)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, ada.get("/health").status)
	for _, c := range []struct {
		who          *client
		method, path string
		body         any
	}{
		{ada, "GET", "/health/db", nil}, {ada, "GET", "/api/resources", nil},
		{ada, "GET", "/api/resources/studio/availability", nil},
		{ada, "POST", "/api/bookings", wish(later, nil)}, {ada, "POST", "/api/bookings", wish(later, m{"email": 1})},
		{ada, "GET", "/api/bookings/" + b.ID + "?token=" + b.Token, nil},
		{ada, "POST", "/api/bookings/" + b.ID + "/cancel?token=" + b.Token, nil},
		{admin, "GET", "/reservations", nil}, {admin, "GET", "/payments", nil}, {admin, "GET", "/auth/me", nil},
		{ada, "POST", "/auth/login", m{"email": adminEmail, "password": adminPassword}},
		{ada, "GET", "/", nil}, {ada, "GET", "/success?session_id=" + b.StripeSessionID, nil},
		{admin, "GET", "/dashboard", nil},
	} {
		began := time.Now()
		var a answer
		if c.method == "GET" {
			a = c.who.get(c.path)
		} else {
			a = c.who.post(c.path, c.body)
		}
		require.Equal(t, http.StatusServiceUnavailable, a.status, "%s %s: %s", c.method, c.path, a.body)
		require.Less(t, time.Since(began), 10*time.Second, c.path)
		for _, detail := range []string{"pq:", "refused", "dial", "127.0.0.1:", "SQLSTATE", "connection"} {
			require.NotContains(t, a.body, detail, c.path)
		}
	}
	require.Equal(t, http.StatusServiceUnavailable, ada.form("/book", filled(later, "k")).status)
	require.Equal(t, http.StatusServiceUnavailable,
		ada.form("/login", url.Values{"email": {adminEmail}, "password": {adminPassword}}).status)

	proxy.mend()
	eventually(t, "ready", func() bool { return ada.get("/health/db").status == http.StatusOK })
	require.Equal(t, http.StatusCreated, ada.post("/api/bookings", wish(later, nil)).status)
	require.Equal(t, http.StatusOK, admin.get("/auth/me").status, "the session is still there")
	eventually(t, "confirmed", func() bool {
		var v shown
		ada.get("/api/bookings/"+b.ID+"?token="+b.Token).into(t, &v)
		return v.Status == "confirmed"
	})
	require.Equal(t, 1, h.count("payment_events"))
}

// A frozen server sends nothing; reads have a timeout.
func TestOutage_DatabaseFrozen(t *testing.T) {
	t.Parallel()
	proxy, through := newDBProxy(t, testdb.URL(t))
	db, err := host.OpenDB(through, 3*time.Second)
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.PingContext(t.Context()))
	_, err = db.ExecContext(t.Context(), `SELECT pg_sleep(0.1)`)
	require.NoError(t, err)

	proxy.freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err = db.ExecContext(ctx, `SELECT 1`)
	require.Error(t, err)
	require.Less(t, time.Since(began), 10*time.Second)

	proxy.thaw()
	eventually(t, "answers again", func() bool { return db.PingContext(t.Context()) == nil })
}
