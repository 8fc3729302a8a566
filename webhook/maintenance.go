package webhook

import (
	"context"
	"time"

	"github.com/booking-platform/booking-platform/internal/periodic"
)

// Run does the background work of a receiver until ctx ends, and then returns nil:
// [Receiver.RetryWaiting] about every five seconds, with a time limit of 20 seconds, and
// [Receiver.DeleteOld] about every ten minutes, with a limit of one minute. Both run at
// the start. A step that fails or panics is logged and runs again in its next round.
// Options.OnStep observes each run as "webhook.RetryWaiting" or "webhook.DeleteOld". Safe
// on every replica at once.
func (r *Receiver) Run(ctx context.Context) error {
	periodic.Run(ctx, r.log, r.opts.OnStep, r.rounds()...)
	return nil
}

func (r *Receiver) rounds() []periodic.Round {
	return []periodic.Round{
		{Every: 5 * time.Second, Steps: []periodic.Step{
			{Name: "webhook.RetryWaiting", Timeout: 20 * time.Second, Do: r.RetryWaiting},
		}},
		{Every: 10 * time.Minute, Steps: []periodic.Step{
			{Name: "webhook.DeleteOld", Timeout: time.Minute, Do: r.DeleteOld},
		}},
	}
}
