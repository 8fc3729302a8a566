package middleware

import (
	"net"
	"net/http"
	"net/netip"

	"github.com/realclientip/realclientip-go"
)

// ClientIP determines the client's address behind trusted proxies. It is safe for
// concurrent use.
type ClientIP struct {
	trusted func(peer netip.Addr) bool
	header  realclientip.Strategy
}

// NewClientIP trusts either a number of proxies that append to X-Forwarded-For, or
// proxies in networks. With neither the header is ignored. With a number, only a peer at
// a loopback or private address is a proxy.
func NewClientIP(proxies int, networks []netip.Prefix) *ClientIP {
	switch {
	case len(networks) > 0:
		ranges := make([]net.IPNet, 0, len(networks))
		for _, n := range networks {
			ranges = append(ranges, net.IPNet{IP: n.Addr().AsSlice(), Mask: net.CIDRMask(n.Bits(), n.Addr().BitLen())})
		}
		within := func(peer netip.Addr) bool {
			for _, n := range networks {
				if n.Contains(peer) {
					return true
				}
			}
			return false
		}
		return &ClientIP{within, realclientip.Must(realclientip.NewRightmostTrustedRangeStrategy("X-Forwarded-For",
			ranges))}
	case proxies > 0:
		near := func(peer netip.Addr) bool { return peer.IsLoopback() || peer.IsPrivate() }
		return &ClientIP{near, realclientip.Must(realclientip.NewRightmostTrustedCountStrategy("X-Forwarded-For",
			proxies))}
	}
	return &ClientIP{trusted: func(netip.Addr) bool { return false }}
}

// Of returns the client's address. The header counts only if the peer is a proxy, which
// the library does not check. With an invalid header it is the peer's address.
func (c *ClientIP) Of(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	addr := peer.Addr().Unmap()
	if c.trusted(addr) {
		if ip, err := netip.ParseAddr(c.header.ClientIP(r.Header, r.RemoteAddr)); err == nil {
			return ip.Unmap().String()
		}
	}
	return addr.String()
}
