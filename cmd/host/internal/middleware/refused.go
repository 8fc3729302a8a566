package middleware

import (
	"log/slog"
	"sync"
	"time"
)

const (
	// refusedWindow is how long the requests that were refused to one client are counted
	// before the count has its line.
	refusedWindow = time.Minute
	// maxRefused is how many clients are counted apart, and so bounds memory and lines,
	// whatever number of addresses an attacker has.
	maxRefused = 200
	// others is whom all further ones are counted as.
	others = "others"
)

// refusals keeps a flood of requests that are refused out of the access log. The first of
// a client in a window has its line, and those after it are counted, and have one line
// together when the window ends.
type refusals struct {
	logger *slog.Logger
	mu     sync.Mutex
	counts map[string]*int
}

// first tells whether a request that was refused has a line of its own.
func (f *refusals) first(client, route string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	// By route too, so that one line is about one thing.
	key := client + " " + route
	if n := f.counts[key]; n != nil {
		*n++
		return false
	}
	own := len(f.counts) < maxRefused
	if !own {
		client, key = others, others+" "+route
		if n := f.counts[key]; n != nil {
			*n++
			return false
		}
	}
	n := 0
	if !own {
		n = 1
	}
	f.counts[key] = &n
	time.AfterFunc(refusedWindow, func() { f.tell(key, client, route) })
	return own
}

// tell writes the line of a window that has ended, if there is something in it.
func (f *refusals) tell(key, client, route string) {
	f.mu.Lock()
	n := *f.counts[key]
	delete(f.counts, key)
	f.mu.Unlock()
	if n > 0 {
		f.logger.Warn("requests refused", slog.String("route", route), slog.String("client_ip", client),
			slog.Int("count", n),
			slog.Duration("within", refusedWindow))
	}
}
