package webhook

import (
	"context"
	"time"

	"github.com/booking-platform/booking-platform/internal/periodic"
)

// The statements let a test look at their plans.
const (
	ListSQL         = listSQL
	WaitingSQL      = waitingSQL
	DropPayloadsSQL = dropPayloadsSQL
	DeleteRowsSQL   = deleteRowsSQL
	LeaseSQL        = leaseSQL
)

// WaitingTogether is how many events of a type wait for a batch.
func (r *Receiver) WaitingTogether(eventType string) int {
	t := r.together[eventType]
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.waiting)
}

// ShareAPlace tells whether two addresses are counted together.
func ShareAPlace(r *Receiver, a, b string) bool { return r.forgers.place(a) == r.forgers.place(b) }

// RunEvery is Run with another pause.
func (r *Receiver) RunEvery(ctx context.Context, pause time.Duration) error {
	rounds := r.rounds()
	for n := range rounds {
		rounds[n].Every = pause
	}
	periodic.Run(ctx, r.log, r.opts.OnStep, rounds...)
	return nil
}
