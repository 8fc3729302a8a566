package stripetest

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// FaultKind is what goes wrong with a call.
type FaultKind string

// The kinds of faults. Before means that the call has no effect; after, that it
// has its effect and the answer is lost: a repeat with the same idempotency key
// gets the real answer, as it does from Stripe.
const (
	// FailBefore is Stripe failing while it executes the call: a 500 without an
	// effect. It is stored under the call's key, as Stripe stores it, and answers
	// every repeat with that key until the key is forgotten. A repeat that is
	// answered so uses up no fault.
	FailBefore FaultKind = "500 before the effect"

	// FailAfter answers 500 in place of the real answer, on the way back: that
	// one, not the 500, is stored under the key.
	FailAfter FaultKind = "500 after the effect"

	// ResetBefore and ResetAfter cut the connection. Go's HTTP client makes a call
	// with an idempotency key again by itself when its connection had been used
	// before: a test that wants to see the failure lets it fire twice.
	ResetBefore FaultKind = "connection reset before the effect"
	ResetAfter  FaultKind = "connection reset after the effect"

	// HangBefore and HangAfter wait for Fault.Release, and then go on as if nothing
	// had been. A client that gives up meanwhile ends it: before, nothing happens.
	HangBefore FaultKind = "hang before the effect"
	HangAfter  FaultKind = "hang after the effect"

	// TooMany is Stripe's 429 rate_limit with a Retry-After of RetryAfter. Nothing
	// is stored, and there is no effect.
	TooMany FaultKind = "429 with Retry-After"

	// HangDuring is Stripe taking long to execute a call: its idempotency key is in
	// use (409 for every repeat) until Fault.Release, and then the call has its
	// effect and its answer is stored, whether the client has waited or not.
	HangDuring FaultKind = "hang during the effect"

	// KeyInUse answers 409 idempotency_key_in_use, under the error type that
	// Options.KeyInUseType says. Nothing is stored, and there is no effect.
	KeyInUse FaultKind = "409 key in use"

	// NotFound answers 404 resource_missing, as Stripe does for the objects of
	// another account or mode. Nothing is stored, and there is no effect.
	NotFound FaultKind = "404 for a known object"

	// BadGateway is a 502 with a page of HTML, from something that stands before
	// Stripe: nothing is stored, and there is no effect.
	BadGateway FaultKind = "HTML 502"
)

// RetryAfter is what a TooMany fault asks for, a whole number of seconds.
const RetryAfter = 3 * time.Second

// Fault is something that goes wrong a number of times. Its methods are safe for
// concurrent use.
type Fault struct {
	s        *Server
	match    func(*http.Request) bool
	kind     FaultKind
	left     int // how often it will still fire
	fired    int
	release  sync.Once
	released chan struct{}
}

// Fault lets the next calls that match fail, as often as times says; of several
// faults that match, the oldest fires. A nil match matches every call of the API.
// The function is called with the Server locked: it must not call it, nor read the
// body. It panics when times is below 1.
func (s *Server) Fault(match func(*http.Request) bool, kind FaultKind, times int) *Fault {
	if times < 1 {
		panic("stripetest: a fault that never fires")
	}
	if match == nil {
		match = func(*http.Request) bool { return true }
	}
	f := &Fault{s: s, match: match, kind: kind, left: times, released: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, f)
	return f
}

// Fired is how often it has fired: counted when it strikes, so after the effect
// for those that come after it.
func (f *Fault) Fired() int {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	return f.fired
}

// Wait returns when it has fired n times, or with the context's error.
func (f *Fault) Wait(ctx context.Context, n int) error {
	return f.s.await(ctx, func() (bool, error) { return f.fired >= n, nil })
}

// Release ends the fault: calls that hang go on, and it fires no more.
func (f *Fault) Release() {
	f.s.mu.Lock()
	f.left = 0
	f.s.mu.Unlock()
	f.release.Do(func() { close(f.released) })
}

// takeFault returns the fault that a call meets, or nil. FailBefore and HangDuring
// are asked for apart, where calls are executed.
func (s *Server) takeFault(r *http.Request, executing bool) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = slices.DeleteFunc(s.faults, func(f *Fault) bool { return f.left == 0 })
	for _, f := range s.faults {
		if executing == (f.kind == FailBefore || f.kind == HangDuring) && f.match(r) {
			f.left--
			return f
		}
	}
	return nil
}

// strike counts that it fires.
func (f *Fault) strike() {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.fired++
	f.s.wake()
}

// before does what f does before the call, and tells whether that ends it.
func (f *Fault) before(w http.ResponseWriter, r *http.Request) (over bool) {
	if f == nil || !slices.Contains([]FaultKind{ResetBefore, HangBefore, TooMany, KeyInUse, NotFound, BadGateway},
		f.kind) {
		return false
	}
	// A client sees its connection cut, and the server sees the client go, once the
	// body has been read.
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxBody))
	r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), r.Body))
	f.strike()
	switch f.kind {
	case ResetBefore:
		reset(w)
	case HangBefore:
		return !f.hang(r)
	case TooMany:
		w.Header().Set("Retry-After", strconv.Itoa(int(RetryAfter/time.Second)))
		send(w, refusal(refused(http.StatusTooManyRequests, "rate_limit", "Request rate limit exceeded.")))
	case KeyInUse:
		send(w, refusal(f.s.keyInUse(r.Header.Get("Idempotency-Key"))))
	case NotFound:
		send(w, refusal(refused(http.StatusNotFound, "resource_missing", "No such object: '%s'", r.URL.Path)))
	case BadGateway:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		_,
			_ = io.WriteString(w,
			"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n")
	}
	return true
}

// after does what f does to a call's answer, and tells whether that ends it.
func (f *Fault) after(w http.ResponseWriter, r *http.Request) (over bool) {
	if f == nil || !slices.Contains([]FaultKind{FailAfter, ResetAfter, HangAfter}, f.kind) {
		return false
	}
	f.strike()
	switch f.kind {
	case FailAfter:
		send(w, refusal(internal()))
	case ResetAfter:
		reset(w)
	case HangAfter:
		return !f.hang(r)
	}
	return true
}

// during does what f does while a call is executed, and returns what is answered
// instead; nil lets the call go on.
func (f *Fault) during() *apiError {
	if f == nil {
		return nil
	}
	f.strike()
	if f.kind == HangDuring {
		<-f.released
		return nil
	}
	return internal()
}

// hang waits for Release, and returns false when the client goes first.
func (f *Fault) hang(r *http.Request) bool {
	select {
	case <-f.released:
		return true
	case <-r.Context().Done():
		return false
	}
}

// internal is a failure of Stripe's own.
func internal() *apiError {
	return &apiError{Status: http.StatusInternalServerError, Type: "api_error",
		Message: "An unknown error occurred (a fault that was asked of the stripetest stand-in)."}
}

// reset cuts the connection so that the client sees it cut, not ended.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2, or a recorder
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a close is then a reset
	}
	_ = conn.Close() // the client hears of nothing else
}
