package health_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/health"
)

func get(h http.Handler) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	return w
}

func healthy(context.Context) error { return nil }

func TestLive_Response(t *testing.T) {
	t.Parallel()
	w := get(health.Live())
	require.Equal(t, http.StatusOK, w.Code)
	require.JSONEq(t, `{"status":"ok"}`, w.Body.String())
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
}

func TestHandlers_Methods(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.Handler{"live": health.Live(),
		"ready": health.Ready(healthy, health.Options{})} {
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(method, "/", nil))
			require.Equal(t, http.StatusMethodNotAllowed, w.Code, "%s %s", name, method)
			require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodHead, "/", nil))
		require.Equal(t, http.StatusOK, w.Code, "%s HEAD", name)
	}
}

func TestReady_FollowsCheckWithoutDetails(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	h := health.Ready(func(context.Context) error {
		if down.Load() {
			return errors.New("dial 10.0.0.7: password=geheim")
		}
		return nil
	}, health.Options{})

	require.Equal(t, http.StatusOK, get(h).Code)
	down.Store(true)
	w := get(h)
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.JSONEq(t, `{"status":"unavailable"}`, w.Body.String())
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	down.Store(false)
	require.Equal(t, http.StatusOK, get(h).Code)
}

func TestReady_FailsClosed(t *testing.T) {
	t.Parallel()
	require.Equal(t, http.StatusServiceUnavailable, get(health.Ready(nil, health.Options{})).Code, "no check")
	panics := health.Ready(func(context.Context) error { panic("nil map") }, health.Options{})
	require.Equal(t, http.StatusServiceUnavailable, get(panics).Code, "panic")
}

func TestCheck_Errors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	var down atomic.Bool
	h := health.Ready(func(context.Context) error {
		if down.Load() {
			return broken
		}
		return nil
	}, health.Options{})
	require.NoError(t, h.Check(t.Context()))
	down.Store(true)
	require.ErrorIs(t, h.Check(t.Context()), broken)
	down.Store(false)
	h.Drain()
	require.ErrorContains(t, h.Check(t.Context()), "draining")

	hangs := health.Ready(func(ctx context.Context) error { <-ctx.Done(); return nil },
		health.Options{Timeout: time.Minute})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, hangs.Check(ended), context.Canceled)
}

func TestDrain_Answers503(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	h := health.Ready(func(context.Context) error { calls.Add(1); return nil }, health.Options{})
	require.Equal(t, http.StatusOK, get(h).Code)
	h.Drain()
	h.Drain()
	require.Equal(t, http.StatusServiceUnavailable, get(h).Code)
	require.EqualValues(t, 1, calls.Load(), "a draining service need not ask its database")
}

func TestDrain_RunningCheck(t *testing.T) {
	t.Parallel()
	running, release := make(chan struct{}), make(chan struct{})
	h := health.Ready(func(context.Context) error {
		close(running)
		<-release
		return nil
	}, health.Options{Timeout: time.Minute})
	answered := make(chan int)
	go func() { answered <- get(h).Code }()
	<-running
	h.Drain()
	close(release)
	require.Equal(t, http.StatusServiceUnavailable, <-answered)
}

// A check that ignores its context costs no endless wait and no goroutine per probe.
func TestReady_CheckHangs(t *testing.T) {
	t.Parallel()
	var started, hanging atomic.Int32
	release := make(chan struct{})
	var released atomic.Bool
	h := health.Ready(func(context.Context) error {
		started.Add(1)
		hanging.Add(1)
		defer hanging.Add(-1)
		if !released.Load() {
			<-release
		}
		return nil
	}, health.Options{Timeout: 20 * time.Millisecond})

	begin := time.Now()
	for range 50 {
		require.Equal(t, http.StatusServiceUnavailable, get(h).Code)
	}
	require.Less(t, time.Since(begin), 10*time.Second, "answers are bounded")
	require.EqualValues(t, 4, started.Load(), "only a few checks in flight, however many probes come")

	released.Store(true)
	close(release)
	require.Eventually(t, func() bool { return get(h).Code == http.StatusOK }, 10*time.Second, time.Millisecond)
	require.Eventually(t, func() bool { return hanging.Load() == 0 }, 10*time.Second, time.Millisecond)
}

func TestReady_CheckEndsGoroutine(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	h := health.Ready(func(context.Context) error {
		if calls.Add(1) <= 10 {
			runtime.Goexit()
		}
		return nil
	}, health.Options{Timeout: 100 * time.Millisecond})
	for range 10 {
		require.Equal(t, http.StatusServiceUnavailable, get(h).Code)
	}
	require.Equal(t, http.StatusOK, get(h).Code)
}

// A check that never returns does not keep the service unready.
func TestReady_CheckNeverReturns(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	lost := make(chan struct{})
	t.Cleanup(func() { close(lost) })
	h := health.Ready(func(context.Context) error {
		if calls.Add(1) == 1 {
			<-lost
		}
		return nil
	}, health.Options{Timeout: 20 * time.Millisecond})
	require.Equal(t, http.StatusServiceUnavailable, get(h).Code)
	require.Equal(t, http.StatusOK, get(h).Code)
}

func TestReady_ConcurrentCallersShareOneCheck(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	release := make(chan struct{})
	h := health.Ready(func(context.Context) error {
		calls.Add(1)
		<-release
		return nil
	}, health.Options{Timeout: time.Minute})

	var wg sync.WaitGroup
	var waiting atomic.Int32
	codes := make(chan int, 20)
	for range cap(codes) {
		wg.Go(func() {
			waiting.Add(1)
			codes <- get(h).Code
		})
	}
	require.Eventually(t, func() bool { return waiting.Load() == 20 && calls.Load() > 0 }, 10*time.Second,
		time.Millisecond)
	require.EqualValues(t, 1, calls.Load())
	close(release)
	wg.Wait()
	close(codes)
	for code := range codes {
		require.Equal(t, http.StatusOK, code)
	}
}

// A prober that disconnects changes no state, and does not cancel the check.
func TestReady_ProberDisconnects(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	checked := make(chan error, 1)
	var log bytes.Buffer
	h := health.Ready(func(ctx context.Context) error {
		<-release
		checked <- ctx.Err()
		return nil
	}, health.Options{Timeout: time.Minute, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	ctx, hangUp := context.WithCancel(t.Context())
	hangUp()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
	require.Empty(t, log.String())
	close(release)
	require.NoError(t, <-checked)
}

func TestReady_LogsChangesOnly(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var down atomic.Bool
	h := health.Ready(func(context.Context) error {
		if down.Load() {
			return errors.New("no route to host")
		}
		return nil
	}, health.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})

	get(h)
	require.Empty(t, log.String(), "a healthy start is no news")
	for _, state := range []bool{true, false, true} {
		down.Store(state)
		get(h)
		get(h)
		get(h)
	}
	require.Equal(t, 3, strings.Count(log.String(), "\n"), log.String())
	require.Equal(t, 2, strings.Count(log.String(), "no route to host"))
	require.Equal(t, 1, strings.Count(log.String(), "ready again"))
}

// O10: the reason is logged when readiness changes, and repeated with a count.
func TestReady_RepeatsReason(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := health.Ready(func(context.Context) error { return errors.New("no database") },
		health.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for range 5 {
		get(h)
	}
	require.Equal(t, 1, strings.Count(log.String(), "not ready"))
	require.Contains(t, log.String(), "count=1\n")
	h.SetRepeat(0)
	get(h)
	require.Equal(t, 2, strings.Count(log.String(), `msg="not ready" error="no database"`))
	require.Contains(t, log.String(), "count=5\n")
}
