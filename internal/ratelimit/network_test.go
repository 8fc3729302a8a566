package ratelimit_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/ratelimit"
)

// The clients behind a NAT64 share a /64, and a 6to4 client has 65,536 of them.
func TestNetwork_Addresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"198.51.100.7": "198.51.100.7", "::ffff:198.51.100.7": "198.51.100.7", "": "", "unknown": "unknown",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2::1": "2001:db8:1:2::/64",
		"2001:db8:1:3::1": "2001:db8:1:3::/64", "fe80::1%eth0": "fe80::/64",
		"64:ff9b::c633:6407": "198.51.100.7", "64:ff9b::1:c633:6407": "64:ff9b::/64",
		"2002:c633:6407::1": "198.51.100.7", "2002:c633:6407:ffff::2": "198.51.100.7",
	} {
		require.Equal(t, want, ratelimit.Network(address), address)
	}
}
