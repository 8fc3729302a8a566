package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/api"
)

func TestClientNetwork_AddressesWithAndWithoutPort(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.7:4711": "192.0.2.7", "192.0.2.7": "192.0.2.7", "[2001:db8::1]:80": "2001:db8::/64",
		"2001:db8::1": "2001:db8::/64", "[::ffff:192.0.2.7]:1": "192.0.2.7", "@": "@", "": "",
	} {
		require.Equal(t, want, api.ClientNetwork(address), address)
	}
}
