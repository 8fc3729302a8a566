package middleware

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/booking-platform/booking-platform/internal/ratelimit"
)

// Options tune [Handler]; ClientIP and Logger are required.
type Options struct {
	// Logger gets one line for each request.
	Logger *slog.Logger
	// ClientIP says who asks: see [NewClientIP].
	ClientIP *ClientIP
	// Timeout ends the context of a request; 0 is 15 seconds. What a route does must end
	// with its context.
	Timeout time.Duration
	// HSTS tells browsers to come back over https alone, for two years; for production.
	HSTS bool
	// FormTargets are origins, besides our own and any over https, to which a form's
	// redirect may lead: the stand-in's pay page.
	FormTargets []string
	// TrustedOrigins may post from a browser besides the one that a request is addressed
	// to: the public URL, whose scheme and host a proxy may have changed on the way.
	TrustedOrigins []string
	// Exempt are patterns of http.ServeMux that browsers do not post to and other
	// services do, such as "POST /webhook".
	Exempt []string
	// Private are what secrets in paths begin with, such as "/calendar/", or "token=",
	// which gets there where a question mark was escaped: the access log leaves out what
	// follows.
	Private []string
	// Counted are routes, as [SetRoute] names them, that strangers may flood with what is
	// refused, such as "/webhook": of the requests that are answered 4xx there, the
	// access log has the first of each client in a minute, and then their number.
	Counted []string
	// Stats counts answers; nil counts nothing.
	Stats *Stats
}

// Handler wraps the host's routes. From the outside in: the connection's state, request
// id, access log, recovery from a panic, headers, time limit, and the refusal of posts
// from other sites. It is safe for concurrent use and keeps nothing between requests.
func Handler(next http.Handler, opts Options) (http.Handler, error) {
	if opts.Logger == nil || opts.ClientIP == nil {
		return nil, errors.New("middleware: a logger and a client address are required")
	}
	if opts.Timeout == 0 {
		opts.Timeout = 15 * time.Second
	}
	if opts.Stats == nil {
		opts.Stats = &Stats{}
	}
	protected, err := crossOrigin(next, opts)
	if err != nil {
		return nil, err
	}
	h := timeLimit(protected, opts.Timeout)
	h = headers(h, opts)
	h = recovered(h, opts.Logger)
	h = accessLog(h, opts)
	return watched(requestID(h)), nil
}

// timeLimit ends the context of each request.
func timeLimit(next http.Handler, limit time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

type requestKey struct{}

// request is what is known of one request; route and user are set further in.
type request struct{ id, clientIP, route, user string }

// requestID takes the caller's id when it is well formed, else makes one, and returns it.
func requestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-Id")
		if !wellFormed(id) {
			id = newID()
		}
		w.Header().Set("X-Request-Id", id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestKey{}, &request{id: id})))
	})
}

// newID orders by time, which helps who looks for a line in a log. An id is no reason to
// refuse a request, so without randomness it is empty.
func newID() string {
	id, err := uuid.NewV7()
	if err != nil {
		return ""
	}
	return id.String()
}

// wellFormed accepts 8 to 64 letters, digits, dots, dashes and underscores: nothing that
// could break a log line or a header.
func wellFormed(id string) bool {
	if len(id) < 8 || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func from(ctx context.Context) *request {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return r
	}
	return &request{}
}

// RequestID returns the id of the request that a context belongs to; empty outside of
// one.
func RequestID(ctx context.Context) string { return from(ctx).id }

// Address returns the address of the client, as [ClientIP] saw it; empty outside of a
// request.
func Address(ctx context.Context) string { return from(ctx).clientIP }

// Network returns what the limits of one client count the client as: its address, or the
// /64 that an IPv6 address is in; see [ratelimit.Network]. It is empty outside of a
// request.
func Network(ctx context.Context) string { return ratelimit.Network(from(ctx).clientIP) }

// SetRoute names the route that took the request, for the access log. The router calls
// it, in the request's own goroutine.
func SetRoute(ctx context.Context, route string) { from(ctx).route = route }

// SetUser names who is logged in, by id, for the access log. It is called in the
// request's own goroutine.
func SetUser(ctx context.Context, id string) { from(ctx).user = id }
