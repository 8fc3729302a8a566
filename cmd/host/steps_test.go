package main_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	host "github.com/booking-platform/booking-platform/cmd/host"
)

// A step that panics, or fails, or hangs until its time limit, is a line in the log; the
// rounds go on.
func TestRoundsGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &logBook{}
		ctx, cancel := context.WithCancel(t.Context())
		var calls atomic.Int64
		done := make(chan struct{})
		go func() {
			defer close(done)
			host.RoundRun(ctx, 4*time.Second, func(ctx context.Context) (int, error) {
				switch calls.Add(1) {
				case 1:
					panic("the first time")
				case 2:
					return 0, errors.New("the second time")
				case 3:
					<-ctx.Done()
					return 0, ctx.Err()
				}
				return 7, nil
			}, log)
		}()
		time.Sleep(time.Second)
		require.EqualValues(t, 1, calls.Load(), "at once, and then not before the pause")
		time.Sleep(5 * time.Second)
		require.EqualValues(t, 2, calls.Load())
		time.Sleep(4 * time.Minute)
		require.Greater(t, calls.Load(), int64(30))
		cancel()
		<-done
		for _, want := range []string{"panic: the first time", "steps_test.go", "the second time",
			"context deadline exceeded", `"count":7`} {
			require.Contains(t, log.String(), want)
		}
	})
}

// What a shutdown interrupts is no failure.
func TestStepInterrupted(t *testing.T) {
	t.Parallel()
	log := &logBook{}
	ctx, cancel := context.WithCancel(t.Context())
	host.StepRun(ctx, "test", time.Minute, func(ctx context.Context) (int, error) {
		cancel()
		<-ctx.Done()
		return 0, ctx.Err()
	}, log)
	require.Empty(t, log.String())
}

// Who watches the steps is told each run, and why it failed; of one that a shutdown
// interrupts nothing.
func TestStepIsWatched(t *testing.T) {
	t.Parallel()
	broken := errors.New("the third thing failed")
	items, err, told := host.StepWatched(t.Context(), func(context.Context) (int, error) { return 2, broken },
		&logBook{})
	require.True(t, told)
	require.ErrorIs(t, err, broken)
	require.Equal(t, 2, items)
	_, err, told = host.StepWatched(t.Context(), func(context.Context) (int, error) { panic("a mistake") }, &logBook{})
	require.True(t, told)
	require.ErrorContains(t, err, "a mistake")
	ctx, cancel := context.WithCancel(t.Context())
	_, _, told = host.StepWatched(ctx, func(ctx context.Context) (int, error) {
		cancel()
		<-ctx.Done()
		return 0, ctx.Err()
	}, &logBook{})
	require.False(t, told)
}
