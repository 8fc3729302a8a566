package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// contender is one way to do the same work; run returns the rate per second.
type contender struct {
	name string
	run  func(ctx context.Context) (float64, error)
}

// race runs the contenders in turn, round by round, and prints each rate and its ratio to
// that of the first one in the same round, as the machine's load varies between rounds.
func (b *bench) race(ctx context.Context, title string, contenders []contender) error {
	rates, ratios := make([][]float64, len(contenders)), make([][]float64, len(contenders))
	for range b.rounds {
		for n, c := range contenders {
			rate, err := c.run(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			rates[n] = append(rates[n], rate)
			ratios[n] = append(ratios[n], rate/rates[0][len(rates[0])-1])
		}
	}
	fmt.Printf("| %s | per second | ratio | lowest and highest |\n| --- | --- | --- | --- |\n", title)
	for n, c := range contenders {
		fmt.Printf("| %s | %.0f | %.2f | %.2f to %.2f |\n", c.name, median(rates[n]), median(ratios[n]),
			slices.Min(ratios[n]), slices.Max(ratios[n]))
	}
	fmt.Println()
	return nil
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/2]
}

// crowd calls do from every client for one round and returns the rate.
func (b *bench) crowd(ctx context.Context, name string,
	do func(ctx context.Context, client int) error) (float64, error) {
	return b.answers(ctx, name, func(ctx context.Context, client int) (bool, error) { return true, do(ctx, client) })
}

// answers is crowd, but counts only calls for which do returns true.
func (b *bench) answers(ctx context.Context, name string,
	do func(ctx context.Context, client int) (bool, error)) (float64, error) {
	if b.profiles != "" {
		file, err := os.Create(filepath.Join(b.profiles, strings.NewReplacer(" ", "-", ",", "").Replace(name)+".prof"))
		if err != nil {
			return 0, err
		}
		defer func() { _ = file.Close() }()
		if err := pprof.StartCPUProfile(file); err != nil {
			return 0, err
		}
		defer pprof.StopCPUProfile()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var done atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	end := began.Add(time.Duration(b.seconds) * time.Second)
	for client := range clients {
		wg.Go(func() {
			for time.Now().Before(end) && ctx.Err() == nil {
				counts, err := do(ctx, client)
				if err != nil {
					cancel(err)
					return
				}
				if counts {
					done.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return 0, err
	}
	return float64(done.Load()) / time.Since(began).Seconds(), ctx.Err()
}
