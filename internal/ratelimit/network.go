package ratelimit

import "net/netip"

var (
	nat64  = netip.MustParsePrefix("64:ff9b::/96")
	sixTo4 = netip.MustParsePrefix("2002::/16")
)

// Network is what the limits of one client count an address as: an IPv4 address, or the
// /64 of an IPv6 address, because a client has all of its /64. IPv6 addresses that carry
// an IPv4 address (mapped, NAT64 of RFC 6052, 6to4 of RFC 3056) count as that address:
// all clients behind a NAT64 have the same /64, and a client of 6to4 has 65,536 of them.
// What is no IP address is returned as it is.
func Network(address string) string {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	addr = addr.WithZone("").Unmap()
	if addr.Is4() {
		return addr.String()
	}
	bytes := addr.As16()
	switch {
	case nat64.Contains(addr):
		return netip.AddrFrom4([4]byte(bytes[12:])).String()
	case sixTo4.Contains(addr):
		return netip.AddrFrom4([4]byte(bytes[2:6])).String()
	}
	prefix, _ := addr.Prefix(64) // An IPv6 address has 64 bits.
	return prefix.String()
}
