package middleware_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/cmd/host/internal/middleware"
)

// flooded returns a function that sends requests to /webhook, answered *status.
func flooded(t *testing.T, status *int) (flood func(n int, address string), book *logBook) {
	t.Helper()
	book = &logBook{}
	h, err := middleware.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		middleware.SetRoute(r.Context(), r.URL.Path)
		w.WriteHeader(*status)
	}), middleware.Options{Logger: slog.New(middleware.LogHandler(slog.NewJSONHandler(book, nil))),
		ClientIP: middleware.NewClientIP(0, nil), Counted: []string{"/webhook"}})
	require.NoError(t, err)
	return func(n int, address string) {
		for range n {
			r := httptest.NewRequest(http.MethodPost, "/webhook", nil)
			r.RemoteAddr = address + ":1"
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
	}, book
}

// A handler's own line replaces that of the access log, unless the request failed.
func TestAccessLog_SetLogged(t *testing.T) {
	t.Parallel()
	for status, lines := range map[int]int{http.StatusOK: 0, http.StatusBadRequest: 1, http.StatusBadGateway: 1} {
		server, book := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			middleware.SetLogged(r.Context())
			w.WriteHeader(status)
		}), middleware.Options{})
		do(t, http.MethodGet, server.URL, nil)
		require.Len(t, book.lines(t), lines, status)
	}
}

// A flood has two lines per minute and address: the first, and the number of the others.
func TestAccessLog_CountsRefusedRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		status := http.StatusBadRequest
		flood, book := flooded(t, &status)
		flood(100, "192.0.2.7")
		status = http.StatusTooManyRequests
		flood(900, "192.0.2.7")
		flood(1, "192.0.2.8")
		require.Len(t, book.lines(t), 2, "the first of each")
		status = http.StatusOK
		flood(3, "192.0.2.7")
		status = http.StatusInternalServerError
		flood(1, "192.0.2.7")
		require.Len(t, book.lines(t), 6)
		time.Sleep(time.Minute)
		synctest.Wait()
		lines := book.lines(t)
		require.Len(t, lines, 7, "who sent one has no second line")
		require.Subset(t, lines[6], map[string]any{"msg": "requests refused", "route": "/webhook",
			"client_ip": "192.0.2.7", "count": 999.0})
		status = http.StatusBadRequest
		flood(2, "192.0.2.7")
		require.Len(t, book.lines(t), 8, "another minute has its own")
		time.Sleep(time.Minute)
	})
}

func TestAccessLog_RefusedRequestsOfManyAddresses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		status := http.StatusBadRequest
		flood, book := flooded(t, &status)
		for i := range 1000 {
			flood(2, fmt.Sprintf("10.0.%d.%d", i/250, i%250))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		lines := book.lines(t)
		require.Len(t, lines, 401, "two for each of two hundred, and one for all others")
		total := 200.0
		for _, line := range lines[200:] {
			total += line["count"].(float64)
		}
		require.Equal(t, 2000.0, total, "each is in one line or another")
	})
}

// Both encodings of the terminal's command introducer are escaped.
func TestLogWriter_EscapesControlCharacters(t *testing.T) {
	t.Parallel()
	book := &logBook{}
	logger := slog.New(slog.NewJSONHandler(middleware.LogWriter(book), nil))
	said := "a\r\nb\x1b[31mc\u009b31md\x7fe\u0085f\u00a0gé€\xc2"
	logger.Info("x", slog.String("said", said))
	require.Equal(t, 1, strings.Count(book.buf.String(), "\n"))
	for _, never := range []string{"\r", "\x1b", "\u009b", "\u0085", "\x7f"} {
		require.NotContains(t, book.buf.String(), never)
	}
	require.Equal(t, strings.TrimSuffix(said, "\xc2")+"\ufffd", book.lines(t)[0]["said"], "the JSON says the same")
}

// An error after a disconnect has no status.
func TestStats_OnAnswer(t *testing.T) {
	t.Parallel()
	var told []middleware.Answered
	stats := &middleware.Stats{}
	stats.OnAnswer(func(a middleware.Answered) {
		require.GreaterOrEqual(t, a.Took, time.Duration(0))
		a.Took = 0
		told = append(told, a)
	})
	h, err := middleware.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cut" {
			panic(http.ErrAbortHandler)
		}
		middleware.SetRoute(r.Context(), "/things/{id}")
		if r.URL.Path == "/things/2" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}), middleware.Options{Logger: slog.New(slog.DiscardHandler), ClientIP: middleware.NewClientIP(0, nil),
		Stats: stats})
	require.NoError(t, err)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, r := range []*http.Request{
		httptest.NewRequest(http.MethodGet, "/things/1", nil), httptest.NewRequest(http.MethodGet, "/things/2", nil),
		httptest.NewRequest(http.MethodGet, "/things/2", nil).WithContext(gone),
	} {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	require.Panics(t, func() { h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/cut", nil)) })
	const route = "/things/{id}"
	require.Equal(t, []middleware.Answered{
		{Route: route, Method: "GET", Status: 200}, {Route: route, Method: "GET", Status: 500},
		{Route: route, Method: "GET"}, {Method: "GET"},
	}, told)
	require.EqualValues(t, 1, stats.ServerErrors())
}
