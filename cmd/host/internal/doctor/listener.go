package doctor

import (
	"net"
	"net/netip"
)

// shared is what providers and overlay networks use within themselves: RFC 6598.
var shared = netip.MustParsePrefix("100.64.0.0/10")

// listensAt is the address of a listener, as one of an interface; everywhere tells that
// it is all of them.
func listensAt(host string) (ip netip.Addr, everywhere bool) {
	ip, err := netip.ParseAddr(host)
	ip = ip.Unmap()
	return ip, err != nil || ip.IsUnspecified()
}

// askedAt is where a listener is reached from this machine.
func askedAt(ip netip.Addr, everywhere bool) string {
	if everywhere {
		return "127.0.0.1"
	}
	return ip.String()
}

// public tells whether an address is one that strangers can reach.
func public(ip netip.Addr) bool {
	return !ip.IsLoopback() && !ip.IsPrivate() && !ip.IsLinkLocalUnicast() && !shared.Contains(ip)
}

// publicAddress is one of this machine's addresses that is public, where a listener on
// all of them is reached; the zero one is none. 0.0.0.0 is those of IPv4 alone. In a
// container it is the container's that count, which is as it should be.
func (e *examination) publicAddress(all netip.Addr) (netip.Addr, error) {
	addresses, err := e.Addresses()
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range addresses {
		network, is := a.(*net.IPNet)
		if !is {
			continue
		}
		ip, valid := netip.AddrFromSlice(network.IP)
		if ip = ip.Unmap(); valid && public(ip) && (ip.Is4() || !all.Is4()) {
			return ip, nil
		}
	}
	return netip.Addr{}, nil
}
