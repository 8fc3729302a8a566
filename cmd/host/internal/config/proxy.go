package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// TrustProxy says whose X-Forwarded-For is believed. The zero value believes nobody's.
type TrustProxy struct {
	// Count is how many proxies in front append to the header. A peer is taken for the
	// last of them only when its address is a loopback or a private one.
	Count int
	// Networks are the proxies' own networks, in place of a count.
	Networks []netip.Prefix
}

// UnmarshalText reads 0, a number, true (one), false (none), or a comma separated list of
// networks or addresses.
func (t *TrustProxy) UnmarshalText(text []byte) error {
	*t = TrustProxy{}
	s := string(text)
	switch strings.ToLower(s) {
	case "", "false":
		return nil
	case "true":
		t.Count = 1
		return nil
	}
	if n, err := strconv.Atoi(s); err == nil {
		if n < 0 || n > 10 {
			return malformed{fmt.Sprintf("is %d", n), "it is how many proxies are in front, 0 to 10"}
		}
		t.Count = n
		return nil
	}
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		prefix, err := netip.ParsePrefix(part)
		if err != nil {
			addr, addrErr := netip.ParseAddr(part)
			if addrErr != nil || addr.Zone() != "" {
				return malformed{fmt.Sprintf("has %q", part),
					"it is a number of proxies, true, false, or their networks, such as 10.0.0.0/8,192.168.1.7"}
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		t.Networks = append(t.Networks, prefix.Masked())
	}
	return nil
}
