package booking_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// Two replicas release and complete each booking once, tell the observer, and return nil
// when the context ends.
func TestRun_ReleasesAndCompletesUntilTheContextEnds(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var mu sync.Mutex
	items := map[string]int{}
	runs := map[string]int{}
	replica := func() *booking.Store {
		store, err := booking.New(db, booking.Options{
			CompleteAfter: time.Hour,
			OnStep: func(step string, _ time.Duration, n int, err error) {
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Errorf("%s: %v", step, err)
				}
				items[step] += n
				runs[step]++
				if runs["booking.ReleaseExpired"] >= 2 && runs["booking.CompletePast"] >= 2 {
					cancel()
				}
			},
		})
		require.NoError(t, err)
		return store
	}
	first, second := replica(), replica()
	create(t, first)
	expired, past := hold(t, first, request(slot(0))), hold(t, first, request(slot(1)))
	_, err := first.Confirm(t.Context(), past.ID)
	require.NoError(t, err)
	expireHolds(t, db, expired.ID)
	exec(t, db, `UPDATE booking_platform.bookings
		SET during = tstzrange(now() - interval '3 hours', now() - interval '2 hours'),
		blocked = tstzrange(now() - interval '3 hours', now() - interval '2 hours') WHERE id = $1::uuid`, past.ID)

	ended := make(chan error, 2)
	for _, store := range []*booking.Store{first, second} {
		go func() { ended <- store.Run(ctx) }()
	}
	require.NoError(t, <-ended)
	require.NoError(t, <-ended)
	require.Equal(t, map[string]int{"booking.ReleaseExpired": 1, "booking.CompletePast": 1}, items)
	for id, want := range map[string]booking.Status{expired.ID: booking.StatusExpired,
		past.ID: booking.StatusCompleted} {
		b, err := first.Get(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, want, b.Status)
	}
}
