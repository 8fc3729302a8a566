// Package periodic runs the background steps of the library packages.
//
// The problem is that a step runs for the life of a process: it must not end with a
// panic, hang, or run on all replicas at the same instant. So each run has a time limit
// and recovers from panics, and pauses vary. Steps must be safe on several replicas at
// once; no leader is elected.
package periodic

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// Step is background work. Do returns how many items it processed.
type Step struct {
	Name string
	// Timeout ends a run's context.
	Timeout time.Duration
	Do      func(context.Context) (int, error)
}

// Round is steps that run one after the other, and then pause.
type Round struct {
	// Every is the average pause; each is 3/4 to 5/4 of it.
	Every time.Duration
	Steps []Step
}

// Observer is called after each run of a step, concurrently, unless the end of the
// context interrupted it.
type Observer func(step string, took time.Duration, items int, err error)

// Run runs the rounds concurrently until ctx ends and running steps have returned. A
// failed step is logged and runs again in the next round.
func Run(ctx context.Context, logger *slog.Logger, observe Observer, rounds ...Round) {
	var wg sync.WaitGroup
	for _, r := range rounds {
		wg.Go(func() { r.run(ctx, logger, observe) })
	}
	wg.Wait()
}

func (r Round) run(ctx context.Context, logger *slog.Logger, observe Observer) {
	for {
		for _, s := range r.Steps {
			if ctx.Err() != nil {
				return
			}
			s.run(ctx, logger, observe)
		}
		pause := time.NewTimer(r.Every*3/4 + rand.N(r.Every/2))
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

func (s Step) run(parent context.Context, logger *slog.Logger, observe Observer) {
	ctx, cancel := context.WithTimeout(parent, s.Timeout)
	defer cancel()
	began := time.Now()
	n, err := s.recovered(ctx)
	if err != nil && parent.Err() != nil {
		return
	}
	if observe != nil {
		observe(s.Name, time.Since(began), n, err)
	}
	switch {
	case err != nil:
		logger.LogAttrs(ctx, slog.LevelError, "step failed", slog.String("step", s.Name),
			slog.String("error", err.Error()), slog.String("sqlstate", pg.SQLState(err)))
	case n > 0:
		logger.LogAttrs(ctx, slog.LevelInfo, "step", slog.String("step", s.Name), slog.Int("count", n))
	}
}

// recovered returns a panic as an error.
func (s Step) recovered(ctx context.Context) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return s.Do(ctx)
}
