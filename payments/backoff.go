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

// RetryAfter is how long Stripe has asked to be left alone, in whole seconds and at most
// an hour, where an error of this package comes of its answer; 0 where it has not. A host
// hands it on to who has to try again.
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

// backoffTransport makes the calls, and hears where Stripe, or what stands before it, asks to be
// left alone. What the steps of this process are answered pauses its steps; what its
// pages are answered pauses its pages alone, so that visitors cannot keep refunds from
// being made. A customer who waits for a Checkout is served all the same. Each replica
// hears of its own calls.
type backoffTransport struct {
	next http.RoundTripper
	// steps and pages are times in nanoseconds.
	steps, pages atomic.Int64
}

// caller tells for whom a call is made.
type caller struct{}

const (
	forStep = "step"
	forView = "page"
)

// inBackground marks the calls of a step.
func inBackground(ctx context.Context) context.Context {
	return context.WithValue(ctx, caller{}, forStep)
}

// forPage marks the calls of a page.
func forPage(ctx context.Context) context.Context { return context.WithValue(ctx, caller{}, forView) }

// RoundTrip keeps the library from making a call again by itself, half a second later,
// where Stripe asked for another pause. What is no answer of Stripe's API, a proxy's page
// for one, it repeats once all the same.
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
			heed(&c.steps, until)
		case forView:
			heed(&c.pages, until)
		}
	}
	return resp, nil
}

// heed keeps the longest pause that was asked for.
func heed(pause *atomic.Int64, until int64) {
	for was := pause.Load(); was < until && !pause.CompareAndSwap(was, until); was = pause.Load() {
	}
}

// paused tells whether the steps are to leave Stripe alone.
func (p *Payments) paused() bool { return time.Now().UnixNano() < p.backoff.steps.Load() }

// pagesPaused tells whether pages are to leave Stripe alone.
func (c *backoffTransport) pagesPaused() bool { return time.Now().UnixNano() < c.pages.Load() }
