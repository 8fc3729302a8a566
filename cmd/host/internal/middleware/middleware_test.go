package middleware_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/booking-platform/booking-platform/cmd/host/internal/middleware"
	"github.com/stretchr/testify/require"
)

// logBook collects JSON lines.
type logBook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBook) lines(t *testing.T) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []map[string]any
	for line := range strings.Lines(l.buf.String()) {
		var m map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &m), line)
		out = append(out, m)
	}
	return out
}

func serve(t *testing.T, h http.Handler, opts middleware.Options) (*httptest.Server, *logBook) {
	t.Helper()
	book := &logBook{}
	opts.Logger = slog.New(middleware.LogHandler(slog.NewJSONHandler(book, nil)))
	if opts.ClientIP == nil {
		opts.ClientIP = middleware.NewClientIP(0, nil)
	}
	wrapped, err := middleware.Handler(h, opts)
	require.NoError(t, err)
	server := httptest.NewServer(wrapped)
	t.Cleanup(server.Close)
	return server, book
}

func do(t *testing.T, method, url string, header map[string]string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	for k, v := range header {
		r.Header.Set(k, v)
	}
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(body)
}

func TestHandler_RequestID(t *testing.T) {
	t.Parallel()
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, middleware.RequestID(r.Context()))
	})
	server, book := serve(t, echo, middleware.Options{})
	for given, kept := range map[string]bool{
		"abcdefgh": true, "A.b-C_9.0": true, strings.Repeat("x", 64): true,
		"": false, "short": false, strings.Repeat("x", 65): false, "white space": false, "quote\"quote": false,
		"ansi\x1b[31m": false, "ümlaut-ümlaut": false,
	} {
		header := map[string]string{}
		if given != "" && !strings.Contains(given, "\x1b") {
			header["X-Request-Id"] = given
		}
		res, body := do(t, http.MethodGet, server.URL, header)
		require.Equal(t, res.Header.Get("X-Request-Id"), body)
		require.Equal(t, kept, body == given, given)
		require.NotEmpty(t, body)
	}
	for _, line := range book.lines(t) {
		require.NotEmpty(t, line["request_id"])
	}
}

func TestAccessLog_Line(t *testing.T) {
	t.Parallel()
	server, book := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		middleware.SetRoute(r.Context(), "/things/{id}")
		middleware.SetUser(r.Context(), "user-7")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "short and stout")
	}), middleware.Options{})
	do(t, http.MethodGet, server.URL+"/things/7%0aforged?token=secret", map[string]string{"X-Request-Id": "request-7"})
	lines := book.lines(t)
	require.Len(t, lines, 1)
	line := lines[0]
	require.GreaterOrEqual(t, line["duration_ms"], 0.0)
	delete(line, "duration_ms")
	delete(line, "time")
	require.Equal(t, map[string]any{
		"level": "INFO", "msg": "request", "method": "GET", "path": "/things/7\nforged", "route": "/things/{id}",
		"status": 418.0,
		"bytes":  15.0, "client_ip": "127.0.0.1", "cut": false, "request_id": "request-7", "user_id": "user-7",
	}, line, "the query, with its token, is not logged")
}

func TestHandler_RecoversFromPanic(t *testing.T) {
	t.Parallel()
	stats := &middleware.Stats{}
	server, book := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/before":
			w.Header().Set("Content-Length", "1000")
			panic("secret detail")
		case "/after":
			_, _ = io.WriteString(w, "half an ans")
			panic("too late")
		case "/abort":
			panic(http.ErrAbortHandler)
		}
	}), middleware.Options{Stats: stats})

	res, body := do(t, http.MethodGet, server.URL+"/before", map[string]string{"X-Request-Id": "request-1"})
	require.Equal(t, http.StatusInternalServerError, res.StatusCode)
	require.JSONEq(t, `{"error":"internal","requestId":"request-1"}`, body)
	require.EqualValues(t, 1, stats.ServerErrors())

	for _, path := range []string{"/after", "/abort"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, nil)
		require.NoError(t, err)
		res, err := http.DefaultClient.Do(r)
		if err == nil {
			_, err = io.ReadAll(res.Body)
			res.Body.Close()
		}
		require.Error(t, err, "%s: an answer that is not whole must not look so", path)
	}
	res, _ = do(t, http.MethodGet, server.URL+"/fine", nil)
	require.Equal(t, http.StatusOK, res.StatusCode)

	panics := 0
	for _, line := range book.lines(t) {
		if line["msg"] == "panic" {
			panics++
			require.Contains(t, line["stack"], "middleware_test.go")
			require.NotEmpty(t, line["request_id"])
		}
	}
	require.Equal(t, 2, panics, "a cut on purpose is not reported as a panic")
}

func TestHandler_SecurityHeaders(t *testing.T) {
	t.Parallel()
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	server, _ := serve(t, ok, middleware.Options{FormTargets: []string{"http://127.0.0.1:3000"}})
	res, _ := do(t, http.MethodGet, server.URL, nil)
	csp := res.Header.Get("Content-Security-Policy")
	require.Contains(t, csp, "default-src 'self';")
	require.Contains(t, csp, "frame-ancestors 'none'")
	require.Contains(t, csp, "form-action 'self' https: http://127.0.0.1:3000")
	require.NotContains(t, csp, "unsafe")
	require.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
	require.Equal(t, "same-origin", res.Header.Get("Referrer-Policy"))
	require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
	require.Empty(t, res.Header.Get("Strict-Transport-Security"))

	server, _ = serve(t, ok, middleware.Options{HSTS: true})
	res, _ = do(t, http.MethodGet, server.URL, nil)
	require.Equal(t, "max-age=63072000", res.Header.Get("Strict-Transport-Security"))
}

func TestHandler_RefusesCrossOriginPosts(t *testing.T) {
	t.Parallel()
	server, _ := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
		middleware.Options{Exempt: []string{"POST /webhook"}, TrustedOrigins: []string{"https://booking.example.com"}})
	for _, c := range []struct {
		method, path string
		header       map[string]string
		want         int
	}{
		{"POST", "/book", nil, 200}, // no browser
		{"POST", "/book", map[string]string{"Sec-Fetch-Site": "same-origin"}, 200},
		{"POST", "/book", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403},
		{"POST", "/book", map[string]string{"Origin": "https://evil.example"}, 403},
		{"POST", "/book", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://booking.example.com"},
			200},
		{"GET", "/book", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 200},
		{"POST", "/webhook", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 200},
	} {
		res, body := do(t, c.method, server.URL+c.path, c.header)
		require.Equal(t, c.want, res.StatusCode, "%+v", c)
		if c.want == 403 {
			require.Contains(t, body, `"error":"cross_origin"`)
		}
	}
}

func TestHandler_TimeoutEndsContext(t *testing.T) {
	t.Parallel()
	server, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		_, _ = io.WriteString(w, context.Cause(r.Context()).Error())
	}), middleware.Options{Timeout: 10 * time.Millisecond})
	_, body := do(t, http.MethodGet, server.URL, nil)
	require.Equal(t, context.DeadlineExceeded.Error(), body)
}

func TestHandler_RequiresOptions(t *testing.T) {
	t.Parallel()
	_, err := middleware.Handler(http.NotFoundHandler(), middleware.Options{})
	require.Error(t, err)
	_, err = middleware.Handler(http.NotFoundHandler(), middleware.Options{
		Logger: slog.New(slog.DiscardHandler), ClientIP: middleware.NewClientIP(0, nil),
		TrustedOrigins: []string{"nowhere"},
	})
	require.Error(t, err)
}

func TestAccessLog_ClientDisconnected(t *testing.T) {
	t.Parallel()
	stats := &middleware.Stats{}
	arrived, left := make(chan struct{}), make(chan struct{})
	server, book := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		middleware.WriteError(w, r, http.StatusServiceUnavailable, "unavailable", nil)
		close(left)
	}), middleware.Options{Stats: stats})
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	go func() { <-arrived; cancel() }()
	_, err = http.DefaultClient.Do(r)
	require.ErrorIs(t, err, context.Canceled)
	<-left
	server.Close() // Waits for the handler, and its line.
	require.Zero(t, stats.ServerErrors())
	require.Equal(t, true, book.lines(t)[0]["cut"])
}

func TestLimits_BodyTimeAndSize(t *testing.T) {
	limits := middleware.Limits{Body: 8, Read: 2 * time.Second, Time: 3 * time.Second}
	var failed error
	var ended time.Duration
	route := func(w http.ResponseWriter, r *http.Request) {
		limits.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			began := time.Now()
			if _, failed = io.ReadAll(r.Body); failed != nil {
				w.WriteHeader(http.StatusBadRequest)
			}
			if r.URL.Path == "/hang" {
				<-r.Context().Done()
				ended = time.Since(began)
			}
		}), w, r)
	}
	bounded(t, middleware.ConnectionOptions{}, route, func(t *testing.T, n *pipes, _ *middleware.Connections) {
		ask := func(request string, rest ...string) int {
			c := n.dial(t, "192.0.2.1")
			defer c.Close()
			go func() { _, _ = io.WriteString(c, request) }()
			for _, more := range rest {
				go func() {
					time.Sleep(1500 * time.Millisecond)
					_, _ = io.WriteString(c, more)
				}()
			}
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			require.NoError(t, err)
			synctest.Wait()
			return res.StatusCode
		}
		require.Equal(t, 200, ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n12345678"))
		require.NoError(t, failed)

		require.Equal(t, 400, ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n123456789"))
		var tooLarge *http.MaxBytesError
		require.True(t, errors.As(failed, &tooLarge), "%v", failed)

		began := time.Now()
		require.Equal(t, 400, ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n1", "2"))
		require.ErrorIs(t, failed, os.ErrDeadlineExceeded, "a byte now and then gains no time")
		require.GreaterOrEqual(t, time.Since(began), 2*time.Second)
		require.Less(t, time.Since(began), 3*time.Second)

		for _, request := range []string{
			"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n", "POST /hang HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1",
		} {
			ask(request)
			require.Equal(t, 3*time.Second, ended, "the time for a body is not the time for the work")
		}
	})
}

// A slow header is cut after five seconds, a large one at once.
func TestNewServer_HeaderLimits(t *testing.T) {
	bounded(t, middleware.ConnectionOptions{}, ok, func(t *testing.T, n *pipes, _ *middleware.Connections) {
		c := n.dial(t, "192.0.2.1")
		began := time.Now()
		go func() {
			for _, err := io.WriteString(c, "GET / HTTP/1.1\r\nX-Slow: "); err == nil; _, err = io.WriteString(c, "x") {
				time.Sleep(time.Second)
			}
		}()
		_, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Equal(t, 5*time.Second, time.Since(began))

		large := n.dial(t, "192.0.2.1")
		go func() {
			_, _ = io.WriteString(large, "GET / HTTP/1.1\r\nHost: x\r\nX-Large: "+strings.Repeat("x", 64<<10)+
				"\r\n\r\n")
		}()
		res, err := http.ReadResponse(bufio.NewReader(large), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, res.StatusCode)
	})
}

func TestClientIP_TrustedProxies(t *testing.T) {
	t.Parallel()
	none := middleware.NewClientIP(0, nil)
	one := middleware.NewClientIP(1, nil)
	two := middleware.NewClientIP(2, nil)
	nets := middleware.NewClientIP(0, []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"),
		netip.MustParsePrefix("2001:db8::/32")})
	for name, c := range map[string]struct {
		finder *middleware.ClientIP
		peer   string
		header []string
		want   string
	}{
		"no proxy trusted":            {none, "10.0.0.1:1", []string{"198.51.100.7"}, "10.0.0.1"},
		"no header":                   {one, "10.0.0.1:1", nil, "10.0.0.1"},
		"one proxy":                   {one, "10.0.0.1:1", []string{"198.51.100.7"}, "198.51.100.7"},
		"what the client invented":    {one, "10.0.0.1:1", []string{"1.1.1.1, 198.51.100.7"}, "198.51.100.7"},
		"several headers":             {one, "10.0.0.1:1", []string{"1.1.1.1", "198.51.100.7"}, "198.51.100.7"},
		"a stranger's header":         {one, "198.51.100.9:1", []string{"1.1.1.1"}, "198.51.100.9"},
		"loopback":                    {one, "[::1]:1", []string{"198.51.100.7"}, "198.51.100.7"},
		"mapped":                      {one, "[::ffff:10.0.0.1]:1", []string{"198.51.100.7"}, "198.51.100.7"},
		"garbage":                     {one, "10.0.0.1:1", []string{"unknown"}, "10.0.0.1"},
		"two proxies":                 {two, "10.0.0.1:1", []string{"1.1.1.1, 198.51.100.7, 10.0.0.2"}, "198.51.100.7"},
		"two proxies, one in between": {two, "10.0.0.1:1", []string{"198.51.100.7"}, "10.0.0.1"},
		"a network": {nets, "203.0.113.5:1", []string{"1.1.1.1, 198.51.100.7, 203.0.113.6"},
			"198.51.100.7"},
		"a network of v6":      {nets, "[2001:db8::1]:1", []string{"198.51.100.7"}, "198.51.100.7"},
		"outside the networks": {nets, "10.0.0.1:1", []string{"198.51.100.7"}, "10.0.0.1"},
		"no peer":              {one, "@", []string{"198.51.100.7"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.header}}
			require.Equal(t, c.want, c.finder.Of(r))
		})
	}
}

func FuzzClientIP(f *testing.F) {
	f.Add("198.51.100.7, 10.0.0.2")
	f.Add("[::1]:80, unknown")
	finder := middleware.NewClientIP(1, nil)
	f.Fuzz(func(t *testing.T, header string) {
		got := finder.Of(&http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": {header}}})
		if _, err := netip.ParseAddr(got); err != nil {
			t.Fatalf("%q gave %q", header, got)
		}
	})
}
