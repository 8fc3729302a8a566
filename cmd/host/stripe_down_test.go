package main_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// stripeDown starts a host whose Stripe goes through a switch: "up", or a way of being down.
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
			// The server notices that a client has gone once it has the whole request.
			_ = r.ParseForm()
			<-r.Context().Done()
		case "cuts":
			panic(http.ErrAbortHandler)
		case "500":
			w.WriteHeader(http.StatusInternalServerError)
		case "asks to be left alone":
			w.Header().Set("Retry-After", "17")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = w.Write([]byte(`{"error":{"type":"invalid_request_error","code":"rate_limit","message":"later"}}`))
		}
	}))
	t.Cleanup(api.Close)
	h := startHost(t, map[string]string{"STRIPE_SECRET_KEY": key, "STRIPE_WEBHOOK_SECRET": secret, "STRIPE_API_BASE": api.URL})
	return h, standIn, mode
}

// While Stripe is down, however it is, a checkout answers within ten seconds that it is, with the slot free again; everything else is as fast as ever; and
// when Stripe is back, so is the host, without anybody's help.
func TestStripeIsDown(t *testing.T) {
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
			for _, path := range []string{"/health", "/health/db", "/", "/api/resources", "/login", "/success?session_id=cs_unknown"} {
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

// Where the database is slow and Stripe hangs after it, the two together have ten seconds, and the hold is given up.
func TestDatabaseIsSlowAndStripeHangs(t *testing.T) {
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
	// The time itself is what is tried: the hold has less than the whole, and more than what is left after Stripe's.
	time.AfterFunc(4*time.Second, func() { _ = lock.Rollback() })
	a := <-answered
	require.Equal(t, http.StatusServiceUnavailable, a.status, a.body)
	require.Greater(t, time.Since(began), 4*time.Second, "it has waited for the database")
	require.Less(t, time.Since(began), 10*time.Second)
	require.Equal(t, free, ada.slot(0), "free again")
}

// A customer who comes back while Stripe hangs sees the page within little more than two seconds, unconfirmed.
func TestSuccessPageWhileStripeHangs(t *testing.T) {
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
	require.Contains(t, ada.get("/success?session_id="+b.StripeSessionID).body, "Your booking is confirmed", "no webhook came: Stripe was asked")
}
