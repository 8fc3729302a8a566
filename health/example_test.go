package health_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/booking-platform/booking-platform/health"
)

// Two routes, and Drain as the first step of shutdown.
func Example() {
	var db *sql.DB // opened elsewhere

	ready := health.Ready(func(ctx context.Context) error {
		return db.PingContext(ctx)
	}, health.Options{Logger: slog.Default()})

	mux := http.NewServeMux()
	mux.Handle("/health", health.Live())
	mux.Handle("/health/db", ready)
	server := &http.Server{Addr: "127.0.0.1:3000", Handler: mux}

	shutdown := func(ctx context.Context) error {
		ready.Drain() // The balancer sees 503 and sends elsewhere; give it a moment before the next line.
		return server.Shutdown(ctx)
	}
	_ = shutdown
}

func ExampleReady() {
	ready := health.Ready(func(context.Context) error { return nil }, health.Options{})
	probe := func() {
		w := httptest.NewRecorder()
		ready.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/health/db", nil))
		fmt.Print(w.Code, " ", w.Body.String())
	}
	probe()
	ready.Drain()
	probe()
	// Output:
	// 200 {"status":"ok"}
	// 503 {"status":"unavailable"}
}
