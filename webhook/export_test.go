package webhook

import (
	"context"
	"time"

	"github.com/booking-platform/booking-platform/internal/periodic"
)

// For tests of query plans.
const (
	BacklogSQL      = backlogSQL
	DropPayloadsSQL = dropPayloadsSQL
	DeleteRowsSQL   = deleteRowsSQL
	LeaseSQL        = leaseSQL
)

func PageQuery(opts ListOptions) (string, []any) { return opts.query(DefaultName) }

func (r *Receiver) QueuedForBatch(eventType string) int {
	b := r.batchers[eventType]
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue)
}

func (r *Receiver) RunningBatches(eventType string) int {
	b := r.batchers[eventType]
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.running
}

func SameBucket(r *Receiver, a, b string) bool {
	return r.signatures.bucket(a) == r.signatures.bucket(b)
}

func (r *Receiver) RunEvery(ctx context.Context, pause time.Duration) error {
	rounds := r.rounds()
	for n := range rounds {
		rounds[n].Every = pause
	}
	periodic.Run(ctx, r.log, r.opts.OnStep, rounds...)
	return nil
}

// IsValid is isValid.
var IsValid = isValid
