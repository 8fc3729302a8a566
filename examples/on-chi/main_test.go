package main

import (
	"context"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// fixture is the service on an empty database, with a Stripe of its own.
type fixture struct {
	*service
	stripe *stripetest.Server
	spans  *tracetest.SpanRecorder
}

func start(t *testing.T) fixture {
	t.Helper()
	db, web, spans := pgtest.New(t), http.NewServeMux(), tracetest.NewSpanRecorder()
	stripe, server := stripetest.Start(t, web), httptest.NewServer(web)
	t.Cleanup(server.Close)
	s, err := newService(t.Context(), db, config{
		url: server.URL, staffPassword: "a password", ownerSecret: strings.Repeat("s", 32),
		secretKey: stripetest.SecretKey, webhookSecret: stripetest.WebhookSecret, stripeAPI: stripe.URL(),
		traces: trace.NewTracerProvider(trace.WithSpanProcessor(spans)), metrics: prometheus.NewRegistry(),
	})
	require.NoError(t, err)
	web.Handle("/", s.routes())
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.background(ctx) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-done) })
	return fixture{s, stripe, spans}
}

func read(t *testing.T) func(*http.Response, error) (*http.Response, string) {
	return func(resp *http.Response, err error) (*http.Response, string) {
		t.Helper()
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp, string(body)
	}
}

// The pages book and pay below the prefix. The request and its calls to Stripe are one
// trace.
func TestPages_BookAndPay(t *testing.T) {
	t.Parallel()
	s := start(t)
	_, page := read(t)(http.Get(s.url + "/booking/"))
	form := url.Values{"firstName": {"Ada"}, "lastName": {"Lovelace"}, "email": {"ada@example.com"}}
	for _, input := range regexp.MustCompile(`<input [^>]*type="hidden"[^>]*>`).FindAllString(page, -1) {
		name := regexp.MustCompile(`name="([^"]*)"`).FindStringSubmatch(input)[1]
		form.Set(name, html.UnescapeString(regexp.MustCompile(`value="([^"]*)"`).FindStringSubmatch(input)[1]))
	}
	slots := regexp.MustCompile(`name="start" value="([^"]+)"|<option value="([^"]+T[^"]+)"`).
		FindAllStringSubmatch(page, -1)
	require.NotEmpty(t, slots, page)
	// Not the first, which may begin any moment and end its hold.
	slot := slots[len(slots)-1]
	form.Set("start", html.UnescapeString(slot[1]+slot[2]))
	resp, body := read(t)(http.PostForm(s.url+"/booking/book", form))
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	require.Contains(t, resp.Request.URL.Path, "/pay/cs_test_")
	session := s.stripe.Sessions()[0]
	_, err := s.stripe.Pay(t.Context(), session.ID)
	require.NoError(t, err)
	resp, body = read(t)(http.Get(s.url + "/booking/success?session_id=" + session.ID))
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	p, err := s.payments.BySession(t.Context(), session.ID)
	require.NoError(t, err)
	b, err := s.bookings.Get(t.Context(), p.BookingID)
	require.NoError(t, err)
	require.Equal(t, booking.StatusConfirmed, b.Status)

	var calls int
	for _, call := range s.spans.Ended() {
		for _, request := range s.spans.Ended() {
			if call.Name() == "HTTP POST" && call.Parent().SpanID() == request.SpanContext().SpanID() {
				calls++
			}
		}
	}
	require.Positive(t, calls, "a call to Stripe within a request")
	_, metrics := read(t)(http.Get(s.url + "/metrics"))
	require.Contains(t, metrics, `bookings_total{result="held"} 1`)
	require.Contains(t, metrics, `stripe_events_total{outcome="processed"} 1`)
}

// The API below the prefix, beside the pages.
func TestAPI_BelowThePrefix(t *testing.T) {
	t.Parallel()
	s := start(t)
	resp, body := read(t)(http.Get(s.url + "/booking/api/resources/court-1/next"))
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	require.True(t, json.Valid([]byte(body)))
	resp, body = read(t)(http.Get(s.url + "/booking/api/nothing"))
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
	require.Regexp(t, `"error":"not_found","requestId":".+"`, body)
	resp, _ = read(t)(http.Get(s.url + "/elsewhere"))
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
}

// The service's own guard protects every page and route of staff.
func TestGuard_StaffOnly(t *testing.T) {
	t.Parallel()
	s := start(t)
	var guarded []string
	for _, route := range s.api.Routes() {
		if strings.HasPrefix(route.Path, "/booking/admin/") && route.Method == http.MethodGet &&
			!strings.Contains(route.Path, "{") {
			guarded = append(guarded, route.Path)
		}
	}
	require.NotEmpty(t, guarded)
	for _, path := range append(guarded, "/booking/payments", "/booking/reservations", "/booking/dashboard") {
		resp, _ := read(t)(http.Get(s.url + path))
		require.Equal(t, http.StatusUnauthorized, resp.StatusCode, path)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
		require.NoError(t, err)
		req.SetBasicAuth("staff", "a password")
		resp, body := read(t)(http.DefaultClient.Do(req))
		require.Equal(t, http.StatusOK, resp.StatusCode, path, body)
	}
}
