package payments

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/stripe/stripe-go/v76"
)

// RetryAfter returns the Retry-After of Stripe's answer behind an error of this package,
// in whole seconds and at most an hour, or 0. Pass it on to HTTP clients.
func RetryAfter(err error) time.Duration {
	var se *stripe.Error
	if !errors.As(err, &se) || se.LastResponse == nil {
		return 0
	}
	return readRetryAfter(se.LastResponse.Header)
}

func readRetryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(3600, time.Duration(seconds)) * time.Second
}

// backoffTransport records Retry-After of answers with an error status. Answers to
// background steps pause the steps of this process; answers to pages pause pages only, so
// that visitors cannot delay refunds. Checkouts are never paused.
type backoffTransport struct {
	next http.RoundTripper
	// steps and pages are Unix times in nanoseconds.
	steps, pages atomic.Int64
}

// caller is the context key for the kind of caller.
type caller struct{}

const (
	forStep = "step"
	forView = "page"
)

func inBackground(ctx context.Context) context.Context {
	return context.WithValue(ctx, caller{}, forStep)
}

func forPage(ctx context.Context) context.Context { return context.WithValue(ctx, caller{}, forView) }

// RoundTrip also keeps the library from its own retry, half a second later, after an
// answer with Retry-After.
func (c *backoffTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	if err != nil || resp.StatusCode < http.StatusBadRequest {
		return resp, err
	}
	if pause := readRetryAfter(resp.Header); pause > 0 {
		resp.Header.Set("Stripe-Should-Retry", "false")
		until := time.Now().Add(pause).UnixNano()
		switch r.Context().Value(caller{}) {
		case forStep:
			pauseUntil(&c.steps, until)
		case forView:
			pauseUntil(&c.pages, until)
		}
	}
	return resp, nil
}

// pauseUntil keeps the longest pause.
func pauseUntil(pause *atomic.Int64, until int64) {
	for was := pause.Load(); was < until && !pause.CompareAndSwap(was, until); was = pause.Load() {
	}
}

// paused reports whether background steps must not call Stripe now; pagesPaused is for
// pages.
func (p *Payments) paused() bool { return time.Now().UnixNano() < p.backoff.steps.Load() }

func (c *backoffTransport) pagesPaused() bool { return time.Now().UnixNano() < c.pages.Load() }
