package middleware_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/cmd/host/internal/middleware"
)

// Each request is told once, by its template; a failure that nobody waited for is none of
// the host's.
func TestOnAnswer(t *testing.T) {
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
	}), middleware.Options{Logger: slog.New(slog.DiscardHandler), ClientIP: middleware.NewClientIP(0, nil), Stats: stats})
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
