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

// PageQuery returns the statement of a page and its parameters.
func PageQuery(opts ListOptions) (string, []any) { return opts.query(DefaultName) }

// QueuedForBatch is how many events of a type wait for a batch.
func (r *Receiver) QueuedForBatch(eventType string) int {
	b := r.batchers[eventType]
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue)
}

// RunningBatches is how many statements of a type run.
func (r *Receiver) RunningBatches(eventType string) int {
	b := r.batchers[eventType]
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.running
}

// SameBucket reports whether two addresses are counted together.
func SameBucket(r *Receiver, a, b string) bool {
	return r.signatures.bucket(a) == r.signatures.bucket(b)
}

// RunEvery is Run with another pause.
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
