package middleware

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Stats counts what was answered since the start of this process.
type Stats struct {
	serverErrors atomic.Int64
	answered     func(Answered)
}

// ServerErrors is how many answers had a status of 500 or above.
func (s *Stats) ServerErrors() int64 { return s.serverErrors.Load() }

// accessLog writes one line for each request, but for those that Options.Counted is
// about. The query is left out, because owner tokens travel in it, and so is the rest of
// a path that is private.
func accessLog(next http.Handler, opts Options) http.Handler {
	refused := &refusals{logger: opts.Logger, counts: map[string]*int{}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		ctx := r.Context()
		from(ctx).clientIP = opts.ClientIP.Of(r)
		answer := &answer{ResponseWriter: w}
		ended := false
		// Deferred, because a connection that is to be cut comes by as a panic.
		defer func() {
			if answer.status == 0 && ended {
				answer.status = http.StatusOK
			}
			// A client that hangs up ends the context, and what fails because of that is
			// no failure of the host's.
			gone := errors.Is(ctx.Err(), context.Canceled)
			level := slog.LevelInfo
			if answer.status >= 500 && !gone {
				level = slog.LevelError
				opts.Stats.serverErrors.Add(1)
			}
			opts.Stats.note(from(ctx).route, r.Method, answer.status, time.Since(began), gone)
			if answer.status/100 == 4 && slices.Contains(opts.Counted, from(ctx).route) &&
				!refused.first(Network(ctx), from(ctx).route) {
				return
			}
			line := []slog.Attr{
				slog.String("method", r.Method),
				slog.String("path", shown(r.URL.Path, opts.Private)),
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
			opts.Logger.LogAttrs(ctx, level, "request", line...)
		}()
		next.ServeHTTP(answer, r)
		ended = true
	})
}

// shown is a path without what is secret in it, from the first beginning of a secret on.
// Wherever that stands, and in whatever case: an address that was mangled on its way to
// us still has its secret.
func shown(path string, private []string) string {
	for at := range path {
		for _, beginning := range private {
			if end := at + len(beginning); end <= len(path) && strings.EqualFold(path[at:end], beginning) {
				return path[:at] + beginning + "…"
			}
		}
	}
	return path
}

// answer remembers what was answered. Unwrap lets http.ResponseController reach what is
// below.
type answer struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) WriteHeader(status int) {
	// 1xx come before the answer; only the first of the others counts.
	if a.status == 0 && status >= 200 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(b)
	a.bytes += int64(n)
	return n, err
}
