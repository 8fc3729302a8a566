package middleware

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Stats counts answers since the start of the process.
type Stats struct {
	serverErrors atomic.Int64
	answered     func(Answered)
}

// ServerErrors returns the number of 5xx answers.
func (s *Stats) ServerErrors() int64 { return s.serverErrors.Load() }

const requestMessage = "request"

// accessLog writes one line per request, except for Options.Counted and [SetLogged],
// without the query, which may have an owner token, and without secrets in the path.
func accessLog(next http.Handler, opts Options) http.Handler {
	refused := &rejectLog{logger: opts.Logger, counts: map[string]*int{}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		ctx := r.Context()
		from(ctx).clientIP = opts.ClientIP.Of(r)
		answer := &responseRecorder{ResponseWriter: w}
		ended := false
		// Deferred, because http.ErrAbortHandler is a panic.
		defer func() {
			if answer.status == 0 && ended {
				answer.status = http.StatusOK
			}
			// Errors after the client has disconnected do not count.
			gone := errors.Is(ctx.Err(), context.Canceled)
			level := slog.LevelInfo
			if answer.status >= 500 && !gone && !from(ctx).planned {
				level = slog.LevelError
				opts.Stats.serverErrors.Add(1)
			}
			opts.Stats.note(from(ctx).route, r.Method, answer.status, time.Since(began), gone)
			if from(ctx).logged && answer.status < 400 {
				return
			}
			if answer.status/100 == 4 && slices.Contains(opts.Counted, from(ctx).route) &&
				!refused.first(Network(ctx), from(ctx).route) {
				return
			}
			line := []slog.Attr{
				slog.String("method", r.Method),
				slog.String("path", redactPath(r.URL.Path, opts.Private)),
				slog.String("route", from(ctx).route),
				slog.Int("status", answer.status),
				slog.Int64("bytes", answer.bytes),
				slog.Float64("duration_ms", float64(time.Since(began).Microseconds())/1000),
				slog.String("client_ip", from(ctx).clientIP),
				slog.Bool("cut", !ended || gone),
			}
			if user := from(ctx).user; user != "" {
				line = append(line, slog.String("user_id", user))
			}
			opts.Logger.LogAttrs(ctx, level, requestMessage, line...)
		}()
		next.ServeHTTP(answer, r)
		ended = true
	})
}

// redactPath cuts a path after the first private prefix, anywhere in it and in either
// case: a client may have changed the address.
func redactPath(path string, private []string) string {
	for at := range path {
		for _, beginning := range private {
			if end := at + len(beginning); end <= len(path) && strings.EqualFold(path[at:end], beginning) {
				return path[:at] + beginning + "…"
			}
		}
	}
	return path
}

// responseRecorder records status and size. Unwrap is for http.ResponseController.
type responseRecorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (a *responseRecorder) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *responseRecorder) WriteHeader(status int) {
	// 1xx statuses come before the answer.
	if a.status == 0 && status >= 200 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *responseRecorder) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(b)
	a.bytes += int64(n)
	return n, err
}

// Answered is an answered request.
type Answered struct {
	// Route is the route's template, or "". Method is as the client sent it.
	Route, Method string
	// Status is 0 if the client disconnected first.
	Status int
	// Took is from the request header to the end of the answer.
	Took time.Duration
}

// OnAnswer sets a function for each request. Set it before the first one.
func (s *Stats) OnAnswer(f func(Answered)) { s.answered = f }

func (s *Stats) note(route, method string, status int, took time.Duration, gone bool) {
	if s.answered == nil {
		return
	}
	if gone && status >= 500 {
		status = 0
	}
	s.answered(Answered{Route: route, Method: method, Status: status, Took: took})
}

const (
	// refusedWindow is how long a client's refused requests are counted for one line.
	refusedWindow = time.Minute
	// maxRefused is how many clients are counted separately.
	maxRefused = 200
	// others is all further clients.
	others = "others"
)

// rejectLog logs the first refused request of a client in a window, and the number of the
// others when it ends.
type rejectLog struct {
	logger *slog.Logger
	mu     sync.Mutex
	counts map[string]*int
}

func (f *rejectLog) first(client, route string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := client + " " + route
	if n := f.counts[key]; n != nil {
		*n++
		return false
	}
	own := len(f.counts) < maxRefused
	if !own {
		client, key = others, others+" "+route
		if n := f.counts[key]; n != nil {
			*n++
			return false
		}
	}
	n := 0
	if !own {
		n = 1
	}
	f.counts[key] = &n
	time.AfterFunc(refusedWindow, func() { f.flush(key, client, route) })
	return own
}

func (f *rejectLog) flush(key, client, route string) {
	f.mu.Lock()
	n := *f.counts[key]
	delete(f.counts, key)
	f.mu.Unlock()
	if n > 0 {
		f.logger.Warn("requests refused", slog.String("route", route), slog.String("client_ip", client),
			slog.Int("count", n), slog.Int64("within_ms", refusedWindow.Milliseconds()))
	}
}

// LogWriter escapes the control characters that JSON allows: DEL, and U+0080 to U+009F,
// of which one begins a terminal's command.
func LogWriter(w io.Writer) io.Writer { return logWriter{w} }

type logWriter struct{ io.Writer }

func (l logWriter) Write(line []byte) (int, error) {
	if bytes.IndexByte(line, 0xC2) < 0 && bytes.IndexByte(line, 0x7F) < 0 {
		return l.Writer.Write(line)
	}
	escaped := make([]byte, 0, len(line)+16)
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == 0x7F:
			escaped = fmt.Appendf(escaped, `\u%04x`, line[i])
		case line[i] == 0xC2 && i+1 < len(line) && line[i+1] < 0xA0:
			i++
			escaped = fmt.Appendf(escaped, `\u%04x`, line[i])
		default:
			escaped = append(escaped, line[i])
		}
	}
	if _, err := l.Writer.Write(escaped); err != nil {
		return 0, err
	}
	return len(line), nil
}

// LogHandler adds request_id and client_ip to lines logged with a request's context.
func LogHandler(h slog.Handler) slog.Handler { return logHandler{h} }

type logHandler struct{ slog.Handler }

func (h logHandler) Handle(ctx context.Context, record slog.Record) error {
	if id := RequestID(ctx); id != "" {
		record = record.Clone()
		record.AddAttrs(slog.String("request_id", id))
		// This line has the address already.
		if ip := Address(ctx); ip != "" && record.Message != requestMessage {
			record.AddAttrs(slog.String("client_ip", ip))
		}
	}
	return h.Handler.Handle(ctx, record)
}

func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs)}
}

func (h logHandler) WithGroup(name string) slog.Handler { return logHandler{h.Handler.WithGroup(name)} }
