package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// metricsDefault is the address of Prometheus's /metrics where nothing is said.
const metricsDefault = "127.0.0.1:9464"

// Metrics is the address at which Prometheus reads.
type Metrics struct {
	// Address is an IP address and a port; empty is nowhere. Port 0 lets the system
	// choose.
	Address string
	// Set tells that somebody has asked for this address, so that a start without it
	// fails.
	Set bool
}

// UnmarshalText reads off, or an IP address (or localhost, or nothing for all addresses)
// and a port.
func (m *Metrics) UnmarshalText(text []byte) error {
	raw := string(text)
	switch raw {
	case "":
		return nil
	case "off":
		*m = Metrics{Set: true}
		return nil
	}
	const remedy = "it is an address and a port, such as 127.0.0.1:9464, or off; nobody but Prometheus should reach it"
	host, port, err := net.SplitHostPort(raw)
	if err != nil {
		return malformed{fmt.Sprintf("is %q", raw), remedy}
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" {
		return malformed{fmt.Sprintf("is %q, which does not begin with an IP address", raw), remedy}
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return malformed{fmt.Sprintf("is %q, which does not end with a port number", raw), remedy}
	}
	*m = Metrics{Address: net.JoinHostPort(host, port), Set: true}
	return nil
}
