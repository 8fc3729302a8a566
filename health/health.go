// Package health serves the two probes of a load balancer or an orchestrator: liveness
// and readiness.
//
// The problem is that the two must not be confused: restarting a process does not bring
// its database back, and requests to a process without its database fail. So [Live]
// answers 200 while the process runs, and [Ready] only while a check succeeds, for
// example that the database responds and has the right schema.
//
// Another problem is a check that hangs while probes arrive every few seconds, each with
// a connection. So probes share a running check, are answered within a time limit even if
// the check ignores its context, and only a few checks run at once.
//
// Before shutdown, call [Readiness.Drain], wait until the balancer has seen the 503, and
// then stop accepting.
//
// Responses are JSON without details: {"status":"ok"} or {"status":"unavailable"}. The
// reason is logged when readiness changes, and once a minute. The package uses the
// standard library alone, and contains no checks.
package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Options configures [Ready]. The zero value works.
type Options struct {
	// Timeout bounds a check and the response; 0 means two seconds. Keep it below the
	// prober's.
	Timeout time.Duration
	// Logger logs changes of readiness with the reason, and while not ready once a minute
	// the reason and the number of failed checks; nil discards.
	Logger *slog.Logger
}

// maxInFlight: another check starts only when the last has exceeded its time limit, so
// that one may hang for ever.
const maxInFlight = 4

var (
	errNoCheck  = errors.New("health: no check was given")
	errTooSlow  = errors.New("health: the check did not answer in time")
	errDraining = errors.New("health: draining")
	errGoexit   = errors.New("health: the check ended its goroutine")
)

// Readiness answers 200 {"status":"ok"} if its check succeeds, and 503
// {"status":"unavailable"} if it fails, takes too long, or after [Readiness.Drain]. It is
// safe for concurrent use. Each replica has its own.
type Readiness struct {
	check    func(context.Context) error
	timeout  time.Duration
	logger   *slog.Logger
	draining atomic.Bool
	// repeatEvery is changed by tests.
	repeatEvery time.Duration

	mu       sync.Mutex
	current  *flight
	inFlight int
	down     bool
	// failures counts failed checks since the line at logged.
	failures int
	logged   time.Time
}

// flight is one run of the check, shared by concurrent callers.
type flight struct {
	ctx  context.Context // Ends when the time limit has passed.
	done chan struct{}   // Closed when the check has returned; err may be read then.
	err  error
}

// result is for callers at the time limit, or just after the check returned.
func (f *flight) result() error {
	select {
	case <-f.done:
		return f.err
	default:
		return errTooSlow
	}
}

// Ready returns a handler that runs check, or joins a running one. The context of check
// ends after Options.Timeout, not with a request. A nil check is never ready, and a panic
// is a failure.
func Ready(check func(context.Context) error, opts Options) *Readiness {
	if check == nil {
		check = func(context.Context) error { return errNoCheck }
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 2 * time.Second
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Readiness{check: check, timeout: opts.Timeout, logger: opts.Logger, repeatEvery: repeatEvery}
}

// Drain makes every response from now on a 503, for good.
func (h *Readiness) Drain() { h.draining.Store(true) }

// ServeHTTP answers GET and HEAD, and other methods with 405.
func (h *Readiness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !allowed(w, r) {
		return
	}
	if h.Check(r.Context()) != nil {
		answer(w, http.StatusServiceUnavailable, `{"status":"unavailable"}`)
		return
	}
	answer(w, http.StatusOK, `{"status":"ok"}`)
}

// Check returns nil when ready, else the reason, with details that clients must not see.
// It runs or joins a check for at most Options.Timeout. If ctx ends first it returns
// ctx.Err(), which says nothing about the service.
func (h *Readiness) Check(ctx context.Context) error {
	if h.draining.Load() {
		return errDraining
	}
	f := h.join()
	var err error
	select {
	case <-f.done:
		err = f.err
	case <-f.ctx.Done():
		err = f.result()
	case <-ctx.Done():
		return ctx.Err()
	}
	h.note(ctx, err)
	if h.draining.Load() {
		return errDraining
	}
	return err
}

func (h *Readiness) join() *flight {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.current != nil && (h.current.ctx.Err() == nil || h.inFlight >= maxInFlight) {
		return h.current
	}
	ctx, cancel := context.WithTimeout(context.Background(), h.timeout)
	f := &flight{ctx: ctx, done: make(chan struct{}), err: errGoexit}
	h.current = f
	h.inFlight++
	go func() {
		// Deferred, because a check may end this goroutine, as a test's FailNow does.
		defer func() {
			h.mu.Lock()
			h.inFlight--
			if h.current == f {
				h.current = nil
			}
			h.mu.Unlock()
			close(f.done)
			cancel()
		}()
		f.err = h.run(ctx)
	}()
	return f
}

// run returns a panic as an error: on this goroutine it would end the process.
func (h *Readiness) run(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("health: the check panicked: %v", p)
		}
	}()
	return h.check(ctx)
}

const repeatEvery = time.Minute

// note logs changes, and once a minute the reason.
func (h *Readiness) note(ctx context.Context, err error) {
	h.mu.Lock()
	log := h.down != (err != nil)
	h.down = err != nil
	failures := 0
	if err != nil {
		h.failures++
		if log = log || time.Since(h.logged) >= h.repeatEvery; log {
			failures, h.failures, h.logged = h.failures, 0, time.Now()
		}
	}
	h.mu.Unlock()
	if !log {
		return
	}
	if err != nil {
		var db interface{ SQLState() string }
		state := ""
		if errors.As(err, &db) {
			state = db.SQLState()
		}
		h.logger.WarnContext(ctx, "not ready", slog.Any("error", err), slog.String("sqlstate", state),
			slog.Int("count", failures))
		return
	}
	h.logger.InfoContext(ctx, "ready again")
}

// Live answers GET and HEAD with 200 {"status":"ok"}, and other methods with 405.
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
