package stripetest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// A development host runs for weeks, so the oldest of everything is forgotten:
// sessions, events and idempotency keys.
func TestTheOldestIsForgotten(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	s.Keep(3)
	var ids []string
	for _, key := range []string{"a", "b", "c", "d"} {
		sess, err := s.sessions.New(keyed(key))
		require.NoError(t, err)
		ids = append(ids, sess.ID)
		_, err = s.Server.Expire(sess.ID)
		require.NoError(t, err)
	}
	require.Len(t, s.Sessions(), 3)
	require.Len(t, s.Events(), 3)
	_, err := s.Session(ids[0])
	require.ErrorIs(t, err, stripetest.ErrNotFound)

	remembered, err := s.sessions.New(keyed("d"))
	require.NoError(t, err)
	require.Equal(t, ids[3], remembered.ID)
	forgotten, err := s.sessions.New(keyed("a"))
	require.NoError(t, err)
	require.NotEqual(t, ids[0], forgotten.ID)
}
