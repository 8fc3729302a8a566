package middleware

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
)

// recovered answers 500 to the request that panicked, and lets the others live. Where the
// answer had begun, the connection is cut: what the client has is not whole, and must not
// look so.
func recovered(next http.Handler, logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler {
				panic(p)
			}
			logger.LogAttrs(r.Context(), slog.LevelError, "panic",
				slog.String("panic", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
			if a, ok := w.(*answer); ok && a.status != 0 {
				panic(http.ErrAbortHandler)
			}
			w.Header().Del("Content-Length")
			WriteError(w, r, http.StatusInternalServerError, "internal", nil)
		}()
		next.ServeHTTP(w, r)
	})
}
