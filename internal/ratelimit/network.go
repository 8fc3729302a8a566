package ratelimit

import "net/netip"

var (
	nat64  = netip.MustParsePrefix("64:ff9b::/96")
	sixTo4 = netip.MustParsePrefix("2002::/16")
)

// Network returns the client network of an address: an IPv4 address, or the /64 of an
// IPv6 address, because a client has all of its /64. IPv6 addresses that contain an IPv4
// address (mapped, NAT64 of RFC 6052, 6to4 of RFC 3056) count as that one: all clients
// behind a NAT64 share a /64, and a 6to4 client has 65,536 of them. Other text is
// returned unchanged.
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
