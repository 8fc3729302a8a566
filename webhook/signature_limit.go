package webhook

import (
	"hash/maphash"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// forgeryWindow is the time in which bad signatures are counted.
	forgeryWindow = time.Minute
	// forgerySlots bounds the memory, whatever number of addresses an attacker has.
	forgerySlots = 1024
	// forgeryLines is how many bad signatures are logged in a window, whatever number of
	// addresses they come from.
	forgeryLines = 200
)

// tally counts within a window that begins with its first count.
type tally struct {
	began time.Time
	count int
}

// add counts one more, and tells how many there are in this window and when it ends.
func (t *tally) add(now time.Time) (count int, ends time.Time) {
	// A clock that was set back would make a window last.
	if age := now.Sub(t.began); age >= forgeryWindow || age < 0 {
		*t = tally{began: now}
	}
	t.count++
	return t.count, t.began.Add(forgeryWindow)
}

// forgers counts bad signatures by address, in a table of a fixed size. Addresses whose
// hashes meet share a place: one of them is then told 429 a little early, which costs a
// forger nothing that it had, and nobody else anything, because only bad signatures get
// here.
type forgers struct {
	seed  maphash.Seed
	mu    sync.Mutex
	slots [forgerySlots]tally
	lines tally
}

func newForgers() *forgers { return &forgers{seed: maphash.MakeSeed()} }

// add counts a bad signature: how many came from that address, when its window ends, and
// whether there is still room for a line in the log.
func (f *forgers) add(address string, limit int, now time.Time) (count int, ends time.Time, logged bool) {
	place := f.place(address)
	f.mu.Lock()
	defer f.mu.Unlock()
	count, ends = f.slots[place].add(now)
	// The first that is too many has a line, which says that there are no more to come.
	if count > limit+1 {
		return count, ends, false
	}
	lines, _ := f.lines.add(now)
	return count, ends, lines <= forgeryLines
}

func (f *forgers) place(address string) uint64 { return maphash.String(f.seed, address) % forgerySlots }

// limit counts a delivery that was rejected for its signature, and turns it away as one
// of too many where it is.
func (r *Receiver) limit(d *Delivery, req *http.Request) {
	switch d.Reason {
	case ReasonSignatureMissing, ReasonSignatureMalformed, ReasonSignatureWrong:
	default:
		// Whoever signs well knows a secret.
		return
	}
	if r.opts.MaxBadSignatures < 0 {
		return
	}
	now := r.opts.Now()
	count, ends, logged := r.forgers.add(r.opts.ClientAddress(req), r.opts.MaxBadSignatures, now)
	d.silent = !logged
	if count > r.opts.MaxBadSignatures {
		d.Reason, d.retryAfter = ReasonTooManyForgeries, ends.Sub(now)
	}
}

// peer is the address that the connection comes from, without its port.
func peer(req *http.Request) string {
	host, _, err := net.SplitHostPort(req.RemoteAddr)
	if err != nil {
		return req.RemoteAddr
	}
	return host
}
