package webhook

import (
	"context"
	"sync"
)

// inflight limits how many deliveries use the database at once, and serialises deliveries
// of the same event, so that a burst of duplicates cannot exhaust the connection pool. It
// is an optimisation for one process: correctness comes from the ledger's primary key.
//
// Acquire the event before the slot, so that deliveries that wait for each other occupy
// one slot together.
type inflight struct {
	slots chan struct{}

	mu     sync.Mutex
	events map[string]chan struct{} // By event id; closed on release.
}

func newInflight(slots int) *inflight {
	return &inflight{slots: make(chan struct{}, slots), events: map[string]chan struct{}{}}
}

// acquireSlot waits for a slot or until ctx ends. The caller must call release once.
func (f *inflight) acquireSlot(ctx context.Context) (release func(), err error) {
	select {
	case f.slots <- struct{}{}:
		return func() { <-f.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// acquireEvent waits until no other delivery of the event is in flight or ctx ends. The
// caller must call releaseEvent once.
func (f *inflight) acquireEvent(ctx context.Context, id string) error {
	for {
		f.mu.Lock()
		released, taken := f.events[id]
		if !taken {
			f.events[id] = make(chan struct{})
		}
		f.mu.Unlock()
		if !taken {
			return nil
		}
		select {
		case <-released:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *inflight) releaseEvent(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.events[id])
	delete(f.events, id)
}
