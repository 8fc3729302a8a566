package auth_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/auth"
)

// However long comparing takes, a hash of bcrypt say, a refusal takes the same time, by a
// clock that the test moves.
func TestRefusalsTakeTheSameTime(t *testing.T) {
	t.Parallel()
	for _, work := range []time.Duration{0, 45 * time.Millisecond, 300 * time.Millisecond} {
		for _, match := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				matches := auth.NewPasswords(1, func(string, string) (bool, error) {
					time.Sleep(work)
					return match, nil
				})
				began := time.Now()
				got, err := matches(t.Context())
				require.NoError(t, err)
				require.Equal(t, match, got)
				want := auth.Refusal
				if match {
					want = work
				}
				require.Equal(t, want, time.Since(began))
			})
		}
	}
}

// What is waited for at the end of a refusal keeps nobody else from hashing, and no
// longer than the caller waits.
func TestRefusalsWaitWithoutATurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		matches := auth.NewPasswords(1, func(string, string) (bool, error) {
			time.Sleep(50 * time.Millisecond)
			return false, nil
		})
		began := time.Now()
		done := make(chan time.Duration, 3)
		for range 3 {
			go func() {
				_, _ = matches(t.Context())
				done <- time.Since(began)
			}()
		}
		for n := range 3 {
			require.Equal(t, time.Duration(n)*50*time.Millisecond+auth.Refusal, <-done)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began = time.Now()
		got, err := matches(ctx)
		require.NoError(t, err)
		require.False(t, got)
		require.Equal(t, 100*time.Millisecond, time.Since(began))
	})
}

// Behind a flood nobody waits for ever.
func TestATurnIsAwaitedInBoundedTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		matches := auth.NewPasswords(0, nil)
		began := time.Now()
		_, err := matches(t.Context())
		require.ErrorIs(t, err, auth.ErrBusy)
		require.Equal(t, 5*time.Second, time.Since(began))
	})
}
