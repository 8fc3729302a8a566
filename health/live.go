package health

import (
	"io"
	"net/http"
)

// Live returns a handler that answers GET and HEAD with 200 {"status":"ok"}, and other
// methods with 405.
func Live() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if allowed(w, r) {
			answer(w, http.StatusOK, `{"status":"ok"}`)
		}
	})
}

func allowed(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	answer(w, http.StatusMethodNotAllowed, `{"error":"method_not_allowed"}`)
	return false
}

func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// An error means that the prober has gone.
	_, _ = io.WriteString(w, body+"\n")
}
