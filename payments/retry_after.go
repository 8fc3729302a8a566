package payments

import (
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/stripe/stripe-go/v76"
)

// RetryAfter is how long Stripe has asked to be left alone, in whole seconds and at most an hour, where an error of this package comes of its answer; 0
// where it has not. A host hands it on to who has to try again.
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

// courtesy makes the calls, and hears where Stripe, or what stands before it, asks to be left alone. The steps of this process then do so; each replica hears
// it of its own calls. Calls for a customer who waits are made all the same: theirs is another call, and not the repeat of the one that was refused.
type courtesy struct {
	next http.RoundTripper
	// until is a time in nanoseconds.
	until atomic.Int64
}

// RoundTrip keeps the library from making a call again by itself, half a second later, where Stripe asked for another pause. What is no answer of
// Stripe's API, a proxy's page for one, it repeats once all the same.
func (c *courtesy) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	if err != nil || resp.StatusCode < http.StatusBadRequest {
		return resp, err
	}
	if pause := readRetryAfter(resp.Header); pause > 0 {
		resp.Header.Set("Stripe-Should-Retry", "false")
		c.heed(time.Now().Add(pause).UnixNano())
	}
	return resp, nil
}

// heed keeps the longest pause that was asked for.
func (c *courtesy) heed(until int64) {
	for was := c.until.Load(); was < until && !c.until.CompareAndSwap(was, until); was = c.until.Load() {
	}
}

// quiet tells whether the steps are to leave Stripe alone.
func (p *Payments) quiet() bool { return time.Now().UnixNano() < p.courtesy.until.Load() }
