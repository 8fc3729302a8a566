package webhook

import (
	"context"
	"log/slog"
	"time"
)

const (
	retryEvery  = 5 * time.Second
	deleteEvery = 10 * time.Minute
)

// Run does the background work of a receiver until ctx ends, and then returns nil: it
// runs [Receiver.RetryWaiting] every five seconds and [Receiver.DeleteOld] every ten
// minutes, once at the start. It is safe on every replica at once. A step that fails, or
// panics, is logged and run again at its next time. A program that schedules the two
// steps itself needs no Run.
func (r *Receiver) Run(ctx context.Context) error {
	retry, remove := time.NewTicker(retryEvery), time.NewTicker(deleteEvery)
	defer retry.Stop()
	defer remove.Stop()
	r.step(ctx, "RetryWaiting", r.RetryWaiting)
	r.step(ctx, "DeleteOld", r.DeleteOld)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-retry.C:
			r.step(ctx, "RetryWaiting", r.RetryWaiting)
		case <-remove.C:
			r.step(ctx, "DeleteOld", r.DeleteOld)
		}
	}
}

// step runs one step; what fails because ctx has ended is no failure.
func (r *Receiver) step(ctx context.Context, name string, do func(context.Context) (int, error)) {
	defer func() {
		if p := recover(); p != nil {
			r.log.ErrorContext(ctx, "webhook: step panicked", slog.String("step", name), slog.Any("panic", p))
		}
	}()
	if _, err := do(ctx); err != nil && ctx.Err() == nil {
		r.log.ErrorContext(ctx, "webhook: step failed", slog.String("step", name), slog.String("error", err.Error()))
	}
}
