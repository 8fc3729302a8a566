package periodic_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/periodic"
)

func TestRun_ContinuesAfterPanicErrorAndTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		ctx, cancel := context.WithCancel(t.Context())
		var calls atomic.Int64
		step := periodic.Step{Name: "test", Timeout: time.Minute, Do: func(ctx context.Context) (int, error) {
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
		}}
		done := make(chan struct{})
		go func() {
			defer close(done)
			periodic.Run(ctx, slog.New(slog.NewJSONHandler(&log, nil)), nil,
				periodic.Round{Every: 4 * time.Second, Steps: []periodic.Step{step}})
		}()
		time.Sleep(time.Second)
		require.EqualValues(t, 1, calls.Load(), "runs at the start, then not before the pause has passed")
		time.Sleep(5 * time.Second)
		require.EqualValues(t, 2, calls.Load())
		time.Sleep(4 * time.Minute)
		require.Greater(t, calls.Load(), int64(30))
		cancel()
		<-done
		for _, want := range []string{
			"panic: the first time", "periodic_test.go", "the second time", "context deadline exceeded", `"count":7`,
		} {
			require.Contains(t, log.String(), want)
		}
	})
}

func TestRun_StepsInOrderAndRoundsConcurrently(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var order []string
		step := func(name string) periodic.Step {
			return periodic.Step{Name: name, Timeout: time.Minute, Do: func(context.Context) (int, error) {
				order = append(order, name)
				return 0, nil
			}}
		}
		hangs := periodic.Step{Name: "hangs", Timeout: time.Hour, Do: func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}}
		go periodic.Run(ctx, slog.New(slog.DiscardHandler), nil,
			periodic.Round{Every: time.Second, Steps: []periodic.Step{hangs}},
			periodic.Round{Every: time.Minute, Steps: []periodic.Step{step("first"), step("second")}})
		synctest.Wait()
		require.Equal(t, []string{"first", "second"}, order)
	})
}

func TestRun_InterruptedStepIsNeitherLoggedNorObserved(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	observed := 0
	periodic.Run(ctx, slog.New(slog.NewJSONHandler(&log, nil)), func(string, time.Duration, int, error) { observed++ },
		periodic.Round{Every: time.Second, Steps: []periodic.Step{{
			Name: "test", Timeout: time.Minute, Do: func(ctx context.Context) (int, error) {
				cancel()
				<-ctx.Done()
				return 0, ctx.Err()
			},
		}}})
	require.Empty(t, log.String())
	require.Zero(t, observed)
}

func TestRun_ObserverSeesItemsAndErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, do := range map[string]func(context.Context) (int, error){
		"broken":    func(context.Context) (int, error) { return 2, broken },
		"a mistake": func(context.Context) (int, error) { panic("a mistake") },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		var items int
		var got error
		periodic.Run(ctx, slog.New(slog.DiscardHandler), func(step string, _ time.Duration, n int, err error) {
			require.Equal(t, name, step)
			items, got = n, err
			cancel()
		}, periodic.Round{Every: time.Second, Steps: []periodic.Step{{Name: name, Timeout: time.Minute, Do: do}}})
		require.ErrorContains(t, got, name)
		if name == "broken" {
			require.ErrorIs(t, got, broken)
			require.Equal(t, 2, items)
		}
	}
}
