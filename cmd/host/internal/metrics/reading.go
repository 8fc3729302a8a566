package metrics

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

const (
	// readLimit bounds a reading of the database.
	readLimit = 2 * time.Second
	// keepReading is for how long a reading is good, and a failed one too: that is how
	// seldom the database is asked, whoever scrapes.
	keepReading = 5 * time.Second
)

// Sources read what the database knows of all hosts together, one round trip each.
type Sources struct {
	// Ready returns nil when this host is ready.
	Ready    func(context.Context) error
	Webhook  func(context.Context) (webhook.Backlog, error)
	Bookings func(context.Context) (booking.Backlog, error)
	Payments func(context.Context) (payments.Backlog, error)
}

// reading is what was read at one time; without err it is whole.
type reading struct {
	ready    bool
	events   webhook.Backlog
	bookings booking.Backlog
	payments payments.Backlog
	err      error
}

func (s Sources) read(ctx context.Context) (r reading) {
	defer func() {
		if p := recover(); p != nil {
			r.err = fmt.Errorf("panic: %v", p)
		}
	}()
	if r.events, r.err = s.Webhook(ctx); r.err != nil {
		return r
	}
	if r.bookings, r.err = s.Bookings(ctx); r.err != nil {
		return r
	}
	r.payments, r.err = s.Payments(ctx)
	return r
}

// reader reads the database for everybody who asks: one at a time, and seldom.
type reader struct {
	sources Sources
	// noted is told each reading once.
	noted func(reading)

	mu      sync.Mutex
	last    reading
	at      time.Time
	running chan struct{}
}

// read returns a reading that is a few seconds old at most, within the time limit: where
// there is none by then, the error says so. A reading that hangs is not joined by another
// one.
func (r *reader) read() reading {
	r.mu.Lock()
	if r.running == nil && !r.at.IsZero() && time.Since(r.at) < keepReading {
		defer r.mu.Unlock()
		return r.last
	}
	if r.running == nil {
		r.running = make(chan struct{})
		go r.run(r.running)
	}
	running := r.running
	r.mu.Unlock()

	limit := time.NewTimer(readLimit)
	defer limit.Stop()
	select {
	case <-running:
	case <-limit.C:
		return reading{err: context.DeadlineExceeded}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

func (r *reader) run(finished chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), readLimit)
	defer cancel()
	// Both at once: together they take no longer than the limit.
	ready := make(chan bool, 1)
	go func() { ready <- r.sources.Ready(ctx) == nil }()
	found := r.sources.read(ctx)
	found.ready = <-ready
	r.noted(found)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.at, r.running = found, time.Now(), nil
	close(finished)
}
