package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Options adjusts [Ready]. The zero value works.
type Options struct {
	// Timeout bounds one check and so the time to an answer; 0 means two seconds. Keep it
	// below the prober's own limit.
	Timeout time.Duration
	// Logger is told why readiness was lost and that it came back; nil discards.
	Logger *slog.Logger
}

// maxInFlight bounds the checks that run at the same time. One is the rule. A further one
// is begun only when the running one has overstayed its time limit, so that a single
// check lost for ever (a connection whose peer vanished) does not keep a recovered
// service out for ever.
const maxInFlight = 4

var (
	errNoCheck  = errors.New("health: no check was given")
	errTooSlow  = errors.New("health: the check did not answer in time")
	errDraining = errors.New("health: draining")
	errGoexit   = errors.New("health: the check ended its goroutine")
)

// Readiness is an http.Handler that answers 200 {"status":"ok"} when its check succeeds
// and 503 {"status":"unavailable"} when it fails, takes too long, or [Readiness.Drain]
// was called. It is safe for concurrent use; each replica has its own.
type Readiness struct {
	check    func(context.Context) error
	timeout  time.Duration
	logger   *slog.Logger
	draining atomic.Bool

	mu       sync.Mutex
	current  *flight
	inFlight int
	down     bool
}

// flight is one run of the check, shared by everybody who asks while it lasts.
type flight struct {
	ctx  context.Context // Ends when the time limit has passed.
	done chan struct{}   // Closed when the check has returned; err may be read then.
	err  error
}

// verdict is for those who found the context ended. That happens at the time limit, and
// also right after the check has returned, and then its result counts.
func (f *flight) verdict() error {
	select {
	case <-f.done:
		return f.err
	default:
		return errTooSlow
	}
}

// Ready returns a handler that runs check for each request, or joins the run that is
// under way. The context that check gets ends after Options.Timeout and does not belong
// to any one request. A nil check is never ready, and a check that panics has failed.
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
	return &Readiness{check: check, timeout: opts.Timeout, logger: opts.Logger}
}

// Drain makes every answer from now on a 503, those whose check is still running
// included. Call it first when shutting down. There is no way back, and calling it again
// does nothing.
func (h *Readiness) Drain() { h.draining.Store(true) }

// ServeHTTP answers GET and HEAD as [Readiness] describes and other methods with 405.
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

// Check returns nil when the service is ready, as [Readiness.ServeHTTP] answers 200, and
// otherwise why it is not. It runs the check or joins the run that is under way, and waits
// for at most Options.Timeout. When ctx ends first it returns ctx.Err(), which says
// nothing about the service. The error can hold details that clients must not see.
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
		err = f.verdict()
	case <-ctx.Done():
		// The prober has gone. That says nothing about the service, so it is no change of
		// state.
		return ctx.Err()
	}
	h.note(ctx, err)
	if h.draining.Load() {
		return errDraining
	}
	return err
}

// join returns the run that is under way, or begins one.
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
		// Deferred, because a check may end this goroutine: a test's FailNow does.
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

// run turns a panic into a failure: on a goroutine of ours it would end the caller's
// process.
func (h *Readiness) run(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("health: the check panicked: %v", p)
		}
	}()
	return h.check(ctx)
}

// note logs changes only: a database that is away for an hour is one line, not one per
// probe.
func (h *Readiness) note(ctx context.Context, err error) {
	h.mu.Lock()
	changed := h.down != (err != nil)
	h.down = err != nil
	h.mu.Unlock()
	if !changed {
		return
	}
	if err != nil {
		var db interface{ SQLState() string }
		state := ""
		if errors.As(err, &db) {
			state = db.SQLState()
		}
		h.logger.WarnContext(ctx, "not ready", slog.Any("error", err), slog.String("sqlstate", state))
		return
	}
	h.logger.InfoContext(ctx, "ready again")
}
