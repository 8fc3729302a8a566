package metrics

import (
	"context"
	"net/http"
)

// isReady asks as a balancer would.
func isReady(ctx context.Context, h http.Handler) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "/health/db", nil)
	if err != nil {
		return false
	}
	a := answer{header: http.Header{}}
	h.ServeHTTP(&a, req)
	return a.status == http.StatusOK
}

// answer keeps the status of an answer.
type answer struct {
	header http.Header
	status int
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) Write(b []byte) (int, error) { return len(b), nil }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}
