package health

import (
	"io"
	"net/http"
)

// Live returns a handler that answers 200 {"status":"ok"} to GET and HEAD while the
// process runs, without looking at anything else. Other methods get 405.
func Live() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if allowed(w, r) {
			answer(w, http.StatusOK, `{"status":"ok"}`)
		}
	})
}

// allowed refuses everything that is no GET or HEAD: a health route changes nothing.
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
	// An answer of a minute ago says nothing about now.
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// The prober may have gone; nobody is left to be told.
	_, _ = io.WriteString(w, body+"\n")
}
