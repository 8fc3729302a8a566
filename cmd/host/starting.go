package main

import (
	"net/http"
	"sync/atomic"

	"github.com/booking-platform/booking-platform/cmd/host/internal/middleware"
	"github.com/booking-platform/booking-platform/health"
)

// startingHandler answers while the host waits for its database: /health 200, so that it
// is not restarted, and everything else 503.
type startingHandler struct {
	starting http.Handler
	started  atomic.Pointer[http.Handler]
}

func newStartingHandler(opts middleware.Options) (*startingHandler, error) {
	routes := http.NewServeMux()
	routes.Handle("/health", health.Live())
	routes.HandleFunc("/health/db", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"status":"unavailable"}` + "\n"))
	})
	routes.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "1")
		middleware.WriteError(w, r, http.StatusServiceUnavailable, "unavailable", nil)
	})
	planned := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		middleware.SetPlanned(r.Context())
		routes.ServeHTTP(w, r)
	})
	h, err := middleware.Handler(planned, opts)
	return &startingHandler{starting: h}, err
}

// ready replaces the answers by those of h.
func (s *startingHandler) ready(h http.Handler) { s.started.Store(&h) }

// ServeHTTP implements http.Handler.
func (s *startingHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := s.started.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	s.starting.ServeHTTP(w, r)
}
