package middleware

import (
	"context"
	"net/http"
	"time"
)

// Limits are what one request of a route may cost.
type Limits struct {
	// Body is how many bytes of a body are read.
	Body int64
	// Read is how long the whole body may take to arrive: with Body, the least rate of a
	// sender.
	Read time.Duration
	// Time ends the request's context; it holds within Options.Timeout.
	Time time.Duration
}

// Serve has next answer a request within the limits. A body that is too large fails with
// *http.MaxBytesError, one that is too slow with os.ErrDeadlineExceeded. It may go inside
// of further limits: the tightest holds.
func (l Limits) Serve(next http.Handler, w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), l.Time)
	defer cancel()
	r = r.WithContext(ctx)
	if r.Body != http.NoBody {
		r.Body = http.MaxBytesReader(w, r.Body, l.Body)
		// The server takes the deadline back when the body has been read. A writer that
		// hides its connection refuses it, and has the server's own limit.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(l.Read))
	}
	next.ServeHTTP(w, r)
}
