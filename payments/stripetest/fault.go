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

// The kinds of faults. "Before": the call has no effect. "After": it has, and the
// response is lost; a repeat with the same idempotency key gets the real response.
const (
	// FailBefore is a 500 during execution, without effect. As Stripe does, it is stored
	// under the idempotency key and repeated; repeats count as no further fault.
	FailBefore FaultKind = "500 before the effect"

	// FailAfter is a 500 in place of the real response, which is stored under the key.
	FailAfter FaultKind = "500 after the effect"

	// ResetBefore and ResetAfter reset the connection. On a reused connection Go's HTTP
	// client repeats a call with an idempotency key itself: use two faults then.
	ResetBefore FaultKind = "connection reset before the effect"
	ResetAfter  FaultKind = "connection reset after the effect"

	// HangBefore and HangAfter wait for Fault.Release, then continue. If the client
	// disconnects from HangBefore, there is no effect.
	HangBefore FaultKind = "hang before the effect"
	HangAfter  FaultKind = "hang after the effect"

	// TooMany is a 429 rate_limit with RetryAfter; no effect, nothing stored.
	TooMany FaultKind = "429 with Retry-After"

	// HangDuring is a slow execution: the idempotency key is in use (409) until
	// Fault.Release. Then the call has its effect and its response is stored, even if the
	// client has disconnected.
	HangDuring FaultKind = "hang during the effect"

	// KeyInUse is a 409 idempotency_key_in_use, see Options.KeyInUseType; no effect,
	// nothing stored.
	KeyInUse FaultKind = "409 key in use"

	// NotFound is a 404 resource_missing, as for another account's objects; no effect,
	// nothing stored.
	NotFound FaultKind = "404 for a known object"

	// BadGateway is a 502 with HTML, from a proxy; no effect, nothing stored.
	BadGateway FaultKind = "HTML 502"
)

// RetryAfter is the Retry-After of a TooMany fault, in whole seconds.
const RetryAfter = 3 * time.Second

// Fault is an injected failure. Methods are safe for concurrent use.
type Fault struct {
	s        *Server
	match    func(*http.Request) bool
	kind     FaultKind
	left     int // how often it will still fire
	fired    int
	release  sync.Once
	released chan struct{}
}

// Fault makes the next calls that match fail, times times; of several matching faults the
// oldest fires. A nil match is every API call. match is called with the Server locked: it
// must not call it nor read the body. Fault panics if times is below 1.
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

// Fired returns how often it has fired; "after" faults count after the effect.
func (f *Fault) Fired() int {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	return f.fired
}

// Wait waits until the fault has fired n times.
func (f *Fault) Wait(ctx context.Context, n int) error {
	return f.s.await(ctx, func() (bool, error) { return f.fired >= n, nil })
}

// Release ends the fault: calls that hang continue, and it fires no more.
func (f *Fault) Release() {
	f.s.mu.Lock()
	f.left = 0
	f.s.mu.Unlock()
	f.release.Do(func() { close(f.released) })
}

// FailBefore and HangDuring apply at execution, the others before.
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

func (f *Fault) strike() {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.fired++
	f.s.wake()
}

func (f *Fault) before(w http.ResponseWriter, r *http.Request) (over bool) {
	if f == nil || !slices.Contains([]FaultKind{ResetBefore, HangBefore, TooMany, KeyInUse, NotFound, BadGateway},
		f.kind) {
		return false
	}
	// A reset reaches the client, and a disconnect the server, only after the body was
	// read.
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

// hang waits for Release; false means that the client disconnected first.
func (f *Fault) hang(r *http.Request) bool {
	select {
	case <-f.released:
		return true
	case <-r.Context().Done():
		return false
	}
}

func internal() *apiError {
	return &apiError{Status: http.StatusInternalServerError, Type: "api_error",
		Message: "An unknown error occurred (a fault that was asked of the stripetest stand-in)."}
}

func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2, or a recorder
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a close is then a reset
	}
	_ = conn.Close()
}
