package webhook

import (
	"context"
	"sync"
)

// gate keeps a storm of deliveries from emptying the caller's pool: before a connection
// is taken, one delivery of an event goes at a time in this process, and no more than a
// bounded number of deliveries altogether. Other replicas are kept apart by the ledger's
// primary key; the gate saves connections, it decides nothing.
type gate struct {
	slots chan struct{}
	mu    sync.Mutex
	busy  map[string]chan struct{} // event id -> closed when its delivery leaves
}

func newGate(slots int) *gate {
	return &gate{slots: make(chan struct{}, slots), busy: map[string]chan struct{}{}}
}

// enterSlot waits for one of the connections that deliveries may use, or for the
// context's end. Who is let in calls leave once. The event's turn comes before the slot,
// so that deliveries of one event that wait for each other hold a single slot.
func (g *gate) enterSlot(ctx context.Context) (leave func(), err error) {
	select {
	case g.slots <- struct{}{}:
		return func() { <-g.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// enterEvent waits for the event's turn, or for the context's end. Who is let in calls
// leaveEvent once.
func (g *gate) enterEvent(ctx context.Context, id string) error {
	for {
		g.mu.Lock()
		turn, taken := g.busy[id]
		if !taken {
			g.busy[id] = make(chan struct{})
		}
		g.mu.Unlock()
		if !taken {
			return nil
		}
		select {
		case <-turn:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (g *gate) leaveEvent(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.busy[id])
	delete(g.busy, id)
}
