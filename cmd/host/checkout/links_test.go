package checkout_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/cmd/host/checkout"
)

const (
	secret = "0123456789abcdef0123456789abcdef"
	older  = "fedcba9876543210fedcba9876543210"
)

// Whoever knows an owner secret does not know the session secret, each has its own, and
// the first stays the first.
func TestOwnerSecrets(t *testing.T) {
	t.Parallel()
	both, err := checkout.OwnerSecrets([]string{secret, older})
	require.NoError(t, err)
	one, err := checkout.OwnerSecrets([]string{older})
	require.NoError(t, err)
	require.Len(t, both, 2)
	require.NotEqual(t, both[0], both[1])
	require.Equal(t, both[1:], one, "the same on every replica, whatever stands beside it")
	for _, s := range both {
		require.Len(t, s, 32)
		require.NotContains(t, []string{secret, older}, s)
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	l, err := checkout.NewLinks("https://example.com/")
	require.NoError(t, err)
	u, err := url.Parse(l.Page("an id", "to&ken"))
	require.NoError(t, err)
	require.Equal(t, "https://example.com/success", u.Scheme+"://"+u.Host+u.Path)
	require.Equal(t, url.Values{"booking": {"an id"}, "token": {"to&ken"}}, u.Query())
	require.Equal(t, checkout.PagePath("an id", "to&ken"), u.RequestURI())
}

func TestLinksFailClosed(t *testing.T) {
	t.Parallel()
	for _, secrets := range [][]string{nil, {""}, {secret, ""}} {
		_, err := checkout.OwnerSecrets(secrets)
		require.Error(t, err)
	}
	_, err := checkout.NewLinks("")
	require.Error(t, err)
}

// Whoever met a limit is told to come back when a hold ends: not at once, whatever the
// clocks say, and not in a week.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
	for want, until := range map[int]time.Time{
		1: now.Add(-time.Hour), 2: now.Add(1500 * time.Millisecond), 1800: now.Add(30 * time.Minute),
		3600: now.AddDate(0, 0, 7),
	} {
		require.Equal(t, want, checkout.RetryAfter(&booking.HoldLimitError{Until: until}, now))
	}
}
