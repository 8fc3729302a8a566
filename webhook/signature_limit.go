package webhook

import (
	"hash/maphash"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	limitWindow = time.Minute
	// limitBuckets bounds the memory, whatever the number of addresses.
	limitBuckets = 1024
	// maxLimitLogs bad signatures are logged in a window, from all addresses together.
	maxLimitLogs = 200
)

// window starts again limitWindow after its first count.
type window struct {
	began time.Time
	count int
}

func (w *window) add(now time.Time) (count int, ends time.Time) {
	// A negative age means that the clock was set back.
	if age := now.Sub(w.began); age >= limitWindow || age < 0 {
		*w = window{began: now}
	}
	w.count++
	return w.count, w.began.Add(limitWindow)
}

// signatureLimiter counts bad signatures by address in a table of fixed size. Addresses
// with the same hash share a bucket, so one of them may get 429 early: genuine deliveries
// are never counted.
type signatureLimiter struct {
	seed    maphash.Seed
	mu      sync.Mutex
	buckets [limitBuckets]window
	logs    window
}

func newSignatureLimiter() *signatureLimiter { return &signatureLimiter{seed: maphash.MakeSeed()} }

// add returns the address's count, the end of its window, and whether to log the
// delivery.
func (l *signatureLimiter) add(address string, limit int, now time.Time) (count int, ends time.Time, logged bool) {
	bucket := l.bucket(address)
	l.mu.Lock()
	defer l.mu.Unlock()
	count, ends = l.buckets[bucket].add(now)
	// The first delivery over the limit announces that the rest are not logged.
	if count > limit+1 {
		return count, ends, false
	}
	logs, _ := l.logs.add(now)
	return count, ends, logs <= maxLimitLogs
}

func (l *signatureLimiter) bucket(address string) uint64 {
	return maphash.String(l.seed, address) % limitBuckets
}

// limitSignatures changes the reason of a bad signature to ReasonRateLimited where its
// address is over Options.MaxBadSignatures.
func (r *Receiver) limitSignatures(d *Delivery, req *http.Request) {
	switch d.Reason {
	case ReasonSignatureMissing, ReasonSignatureMalformed, ReasonSignatureWrong:
	default:
		return // Signed with a valid secret.
	}
	if r.opts.MaxBadSignatures < 0 {
		return
	}
	now := r.opts.Now()
	count, ends, logged := r.signatures.add(r.opts.ClientAddress(req), r.opts.MaxBadSignatures, now)
	d.silent = !logged
	if count > r.opts.MaxBadSignatures {
		d.Reason, d.retryAfter = ReasonRateLimited, ends.Sub(now)
	}
}

// peer is without the port.
func peer(req *http.Request) string {
	host, _, err := net.SplitHostPort(req.RemoteAddr)
	if err != nil {
		return req.RemoteAddr
	}
	return host
}
