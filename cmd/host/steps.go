package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/booking-platform/booking-platform/cmd/host/internal/middleware"
)

// round is work that is done again and again, on every replica: its steps one after the
// other, then a pause.
type round struct {
	every time.Duration
	steps []step
}

// step is one call into a room; it tells how many things it has done.
type step struct {
	name    string
	timeout time.Duration
	do      func(context.Context) (int, error)
}

// watcher is told each run of a step: how long it took, how many things it has done, and
// why it failed. nil is nobody.
type watcher func(step string, took time.Duration, items int, err error)

// run goes on until the context ends. The pause varies, so that replicas that were
// started together do not ask together.
func (r round) run(ctx context.Context, logger *slog.Logger, watch watcher) {
	for {
		for _, s := range r.steps {
			s.run(ctx, logger, watch)
		}
		pause := time.NewTimer(r.every*3/4 + rand.N(r.every/2))
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

// run does the step once. A failure is logged, and the next round tries again; a panic is
// a failure, and not the end of the process. What a shutdown interrupts is neither failed
// nor done.
func (s step) run(ctx context.Context, logger *slog.Logger, watch watcher) {
	stop := ctx
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	began := time.Now()
	n, err := s.guarded(ctx)
	interrupted := err != nil && stop.Err() != nil
	if watch != nil && !interrupted {
		watch(s.name, time.Since(began), n, err)
	}
	switch {
	case err != nil && !interrupted:
		logger.LogAttrs(ctx, slog.LevelError, "step failed", slog.String("step", s.name),
			slog.String("error", err.Error()), slog.String("sqlstate", middleware.SQLState(err)))
	case n > 0:
		logger.LogAttrs(ctx, slog.LevelInfo, "step", slog.String("step", s.name), slog.Int("count", n))
	}
}

func (s step) guarded(ctx context.Context) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return s.do(ctx)
}
