package config

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// appURL checks the public address of the service. Plain http is for this machine alone:
// session cookies and owner tokens travel on it.
func appURL(raw string, production bool, problems *Problems) string {
	const name, shape = "APP_URL", "it is the public address without a path, such as https://booking.example.com"
	u := absolute(raw)
	switch {
	case u == nil:
		problems.add(name, "is not an absolute http(s) URL", shape)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		problems.add(name, "has more than scheme, host and port", shape)
	case production && u.Scheme == "http" && !loopback(u.Hostname()):
		problems.add(name, "is plain http", "production needs https; http is only for 127.0.0.1 and localhost")
	default:
		return u.Scheme + "://" + u.Host
	}
	return ""
}

// absolute parses an absolute http(s) URL; nil when it is none.
func absolute(raw string) *url.URL {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return nil
	}
	return u
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || (err == nil && addr.IsLoopback())
}

// bindHost checks the address to listen on. A host name is refused: an address says which
// of the machine's networks are meant.
func bindHost(raw string, production bool, problems *Problems) string {
	switch {
	case raw == "" && production:
		return "0.0.0.0"
	case raw == "" || raw == "localhost":
		return "127.0.0.1"
	case net.ParseIP(raw) == nil:
		problems.add("BIND_ADDRESS", "is no IP address", "it is the address to listen on: 127.0.0.1 for this machine alone, 0.0.0.0 for all; unset it for the default")
		return ""
	}
	return raw
}
