package stripetest

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"
)

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
