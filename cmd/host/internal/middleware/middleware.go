// Package middleware is the host's HTTP middleware and server limits.
//
// The problem is that some things must hold for every route (request ids in the log,
// recovery from panics, headers, time limits, no cross-origin posts), and a route that
// has to ask for them forgets. So [Handler] wraps the router once, and [LogHandler] adds
// the request id to lines logged with the request's context, in any package. [NewServer]
// and [Connections] limit slow clients below HTTP.
package middleware

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/internal/ratelimit"
	"github.com/google/uuid"
	"github.com/realclientip/realclientip-go"
)

// Options tune [Handler]; ClientIP and Logger are required.
type Options struct {
	// Logger gets one line per request.
	Logger   *slog.Logger
	ClientIP *ClientIP
	// Timeout ends a request's context, and handlers must then return; 0 is 15 seconds.
	Timeout time.Duration
	// HSTS sets Strict-Transport-Security, for two years.
	HSTS bool
	// FormTargets are origins, besides https, to which a redirect after a form may lead.
	FormTargets []string
	// TrustedOrigins may post from a browser, besides the request's own origin. The
	// public URL is one, because a proxy may change scheme and host.
	TrustedOrigins []string
	// Exempt are patterns of http.ServeMux that other origins may post to, such as "POST
	// /webhook".
	Exempt []string
	// Private are prefixes of secrets in paths that the access log leaves out, such as
	// "/calendar/", or "token=", which is in the path if a question mark was escaped.
	Private []string
	// Counted are routes, as [SetRoute] names them, that may be flooded with invalid
	// requests, such as "/webhook". Of their 4xx answers a client's first in a minute is
	// logged, then the number of the others.
	Counted []string
	// Stats counts answers; nil counts nothing.
	Stats *Stats
}

// Handler wraps the routes. From the outside in: state of the connection, request id,
// access log, recovery, headers, time limit, protection against cross-origin posts.
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
	return trackClientWait(requestID(h)), nil
}

func timeLimit(next http.Handler, limit time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

type requestKey struct{}

// request is the data of one request; route, user, planned and logged are set by handlers.
type request struct {
	id, clientIP, route, user string
	planned, logged           bool
}

// A well-formed X-Request-Id of the client's is kept.
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

// newID sorts by time.
func newID() string {
	id, err := uuid.NewV7()
	if err != nil {
		return ""
	}
	return id.String()
}

// wellFormed accepts 8 to 64 letters, digits, dots, dashes and underscores.
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

// RequestID returns the id of the request of ctx, or "".
func RequestID(ctx context.Context) string { return from(ctx).id }

// Address returns the client's address, or "" without a request.
func Address(ctx context.Context) string { return from(ctx).clientIP }

// Network returns the network that limits count the client by, see [ratelimit.Network],
// or "" without a request.
func Network(ctx context.Context) string { return ratelimit.Network(from(ctx).clientIP) }

// SetRoute sets the access log's route. Call it in the request's goroutine.
func SetRoute(ctx context.Context, route string) { from(ctx).route = route }

// SetUser sets the access log's user id. Call it in the request's goroutine.
func SetUser(ctx context.Context, id string) { from(ctx).user = id }

// SetPlanned marks a 5xx answer as no error of the host. Call it in the request's
// goroutine.
func SetPlanned(ctx context.Context) { from(ctx).planned = true }

// SetLogged says that the handler has logged a line of its own, which replaces that of the
// access log unless the status is 4xx or 5xx. Call it in the goroutine of the request.
func SetLogged(ctx context.Context) { from(ctx).logged = true }

// recovered answers 500 after a panic. If the answer has begun, it closes the connection,
// so that the client does not take the answer for complete.
func recovered(next http.Handler, logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			logger.LogAttrs(r.Context(), slog.LevelError, "panic",
				slog.String("panic", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
			if a, ok := w.(*responseRecorder); ok && a.status != 0 {
				panic(http.ErrAbortHandler)
			}
			w.Header().Del("Content-Length")
			WriteError(w, r, http.StatusInternalServerError, "internal", nil)
		}()
		next.ServeHTTP(w, r)
	})
}

// Limits are the limits of a route.
type Limits struct {
	// Body is the largest body, in bytes.
	Body int64
	// Read is how long the whole body may take.
	Read time.Duration
	// Time ends the request's context, unless Options.Timeout is shorter.
	Time time.Duration
}

// Serve calls next within the limits. Reading too large a body fails with
// *http.MaxBytesError, too slow a one with os.ErrDeadlineExceeded.
func (l Limits) Serve(next http.Handler, w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), l.Time)
	defer cancel()
	r = r.WithContext(ctx)
	if r.Body != http.NoBody {
		r.Body = http.MaxBytesReader(w, r.Body, l.Body)
		// The server resets the deadline after the body. A writer without a connection
		// returns an error, and has the server's limit.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(l.Read))
	}
	next.ServeHTTP(w, r)
}

// Handlers may replace these headers. form-action allows any https address: Chrome
// applies it to the redirect after a form, and Stripe's page may have a custom domain.
func headers(next http.Handler, opts Options) http.Handler {
	targets := strings.Join(append([]string{"'self'", "https:"}, opts.FormTargets...), " ")
	csp := "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; form-action " + targets
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", csp)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		// Owner tokens are in the query.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if opts.HSTS {
			h.Set("Strict-Transport-Security", "max-age=63072000")
		}
		next.ServeHTTP(w, r)
	})
}

// crossOrigin refuses what a browser sends from another site, except reads.
func crossOrigin(next http.Handler, opts Options) (http.Handler, error) {
	protection := http.NewCrossOriginProtection()
	for _, origin := range opts.TrustedOrigins {
		if err := protection.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("middleware: trust an origin: %w", err)
		}
	}
	for _, pattern := range opts.Exempt {
		protection.AddInsecureBypassPattern(pattern)
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		WriteError(w, r, http.StatusForbidden, "cross_origin", nil)
	}))
	return protection.Handler(next), nil
}

// problem is a JSON error, as in package api.
type problem struct {
	Error     string            `json:"error"`
	RequestID string            `json:"requestId"`
	Fields    map[string]string `json:"fields,omitempty"`
}

// WriteError answers with a code, the request id, and problems by field, as JSON.
func WriteError(w http.ResponseWriter, r *http.Request, status int, code string, fields map[string]string) {
	// Strings always encode.
	body, _ := json.Marshal(problem{Error: code, RequestID: RequestID(r.Context()), Fields: fields})
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// trackClientWait marks a connection while it waits for its client: from the first read
// of the body to its end, and while the answer is sent.
func trackClientWait(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := r.Context().Value(connKey{}).(*conn)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		if r.Body != http.NoBody {
			r = r.WithContext(r.Context())
			r.Body = &body{ReadCloser: r.Body, conn: c}
		}
		next.ServeHTTP(w, r)
		// The server now reads the rest of the body and sends the answer.
		c.waits()
	})
}

type body struct {
	io.ReadCloser
	conn    *conn
	reading bool
}

func (b *body) Read(p []byte) (int, error) {
	if !b.reading {
		b.reading = true
		b.conn.waits()
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.conn.works()
	}
	return n, err
}

// ClientIP determines clients' addresses behind trusted proxies. It is safe for
// concurrent use.
type ClientIP struct {
	trusted func(peer netip.Addr) bool
	header  realclientip.Strategy
}

// NewClientIP trusts a number of proxies that append to X-Forwarded-For, then only from
// loopback and private addresses, or proxies in networks. With neither the header is
// ignored.
func NewClientIP(proxies int, networks []netip.Prefix) *ClientIP {
	switch {
	case len(networks) > 0:
		ranges := make([]net.IPNet, 0, len(networks))
		for _, n := range networks {
			ranges = append(ranges, net.IPNet{IP: n.Addr().AsSlice(), Mask: net.CIDRMask(n.Bits(), n.Addr().BitLen())})
		}
		within := func(peer netip.Addr) bool {
			for _, n := range networks {
				if n.Contains(peer) {
					return true
				}
			}
			return false
		}
		return &ClientIP{within, realclientip.Must(realclientip.NewRightmostTrustedRangeStrategy("X-Forwarded-For",
			ranges))}
	case proxies > 0:
		near := func(peer netip.Addr) bool { return peer.IsLoopback() || peer.IsPrivate() }
		return &ClientIP{near, realclientip.Must(realclientip.NewRightmostTrustedCountStrategy("X-Forwarded-For",
			proxies))}
	}
	return &ClientIP{trusted: func(netip.Addr) bool { return false }}
}

// Of ignores the header unless the peer is a proxy, which the library does not check, and
// if it is invalid: the peer's address is then the client's.
func (c *ClientIP) Of(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	addr := peer.Addr().Unmap()
	if c.trusted(addr) {
		if ip, err := netip.ParseAddr(c.header.ClientIP(r.Header, r.RemoteAddr)); err == nil {
			return ip.Unmap().String()
		}
	}
	return addr.String()
}
