package doctor

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// configuration returns the problems with which the host does not start.
func (e *examination) configuration(context.Context) ([]Finding, error) {
	if len(e.Problems) == 0 {
		return []Finding{ok(Configuration, "complete and valid")}, nil
	}
	var found []Finding
	for _, p := range e.Problems {
		found = append(found, problem(Configuration, p.Name+" "+p.Wrong, sentence(p.Remedy)))
	}
	return found, nil
}

// sentence starts with a capital and ends with a full stop.
func sentence(s string) string {
	return strings.ToUpper(s[:1]) + strings.TrimSuffix(s[1:], ".") + "."
}

func (e *examination) environment(context.Context) ([]Finding, error) {
	host := ""
	if u, err := url.Parse(e.Config.AppURL); err == nil {
		host = u.Hostname()
	}
	switch {
	case e.Config.Production && host != "" && local(host):
		return []Finding{ok(Environment, "production"),
			warning(AppURL, "APP_URL is a local address", "Set APP_URL to the public address, to which customers "+
				"return after paying.")}, nil
	case e.Config.Production:
		return []Finding{ok(Environment, "production")}, nil
	case strings.HasPrefix(e.Config.AppURL, "https://") && !local(host):
		return []Finding{warning(Environment,
			"development, with a public APP_URL: the session cookie may be insecure, "+
				"and Stripe may be replaced by a stand-in", "Set APP_ENV=production for customers.")}, nil
	}
	return []Finding{ok(Environment, "development; to check for production: APP_ENV=production host doctor")}, nil
}

func (e *examination) cookie(context.Context) ([]Finding, error) {
	var found []Finding
	c := e.Config.Cookie
	if c.Secure && strings.HasPrefix(e.Config.AppURL, "http://") {
		const what, remedy = "the session cookie is secure and APP_URL is http: ", "Use https in APP_URL, or set " +
			"COOKIE_SECURE=false in development."
		if u, err := url.Parse(e.Config.AppURL); err == nil && local(u.Hostname()) {
			found = append(found, warning(CookieSecure, what+"some browsers drop it even locally", remedy))
		} else {
			found = append(found, problem(CookieSecure, what+"browsers drop it, and logins fail", remedy))
		}
	}
	if c.SameSite == http.SameSiteNoneMode && !e.invalid("COOKIE_SAMESITE") {
		found = append(found, warning(CookieSite,
			"COOKIE_SAMESITE is none: other sites' pages may use a visitor's session",
			"Set COOKIE_SAMESITE=lax unless the pages are shown inside another site."))
	}
	if c.Domain != "" && !strings.Contains(c.Domain, ".") && !local(c.Domain) && !e.invalid("COOKIE_DOMAIN") {
		found = append(found, problem(CookieDomain, "COOKIE_DOMAIN is a top-level domain: browsers drop the cookie, "+
			"and logins fail", "Unset COOKIE_DOMAIN."))
	}
	if len(found) == 0 {
		found = append(found, ok(CookieSecure, "the session cookie works with APP_URL"))
	}
	return found, nil
}

// proxy assumes a proxy if APP_URL is https, because the host serves plain http only.
func (e *examination) proxy(context.Context) ([]Finding, error) {
	t := e.Config.TrustProxy
	if e.invalid("TRUST_PROXY") {
		return nil, nil
	}
	if e.Config.Production && strings.HasPrefix(e.Config.AppURL, "https://") && t.Count == 0 && len(t.Networks) == 0 {
		return []Finding{warning(TrustProxy,
				"APP_URL is https, so there is a proxy, and TRUST_PROXY is 0: all customers "+
					"share the limits of one address",
				"Set TRUST_PROXY to the number of proxies, or to their networks.")},
			nil
	}
	return []Finding{ok(TrustProxy, "works with APP_URL")}, nil
}

// metrics checks the address of GET /metrics and what answers there.
func (e *examination) metrics(ctx context.Context) ([]Finding, error) {
	address := e.Config.Metrics.Address
	const remedy = "Set METRICS_ADDR to a private address that Prometheus reaches, such as 127.0.0.1:9464."
	switch {
	case e.invalid("METRICS_ADDR"):
		return nil, nil
	case address == "" && e.Config.Production:
		return []Finding{warning(MetricsAddress, "METRICS_ADDR is off: there are no metrics and no alerts", remedy)},
			nil
	case address == "":
		return []Finding{ok(MetricsAddress, "off")}, nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	ip, unspecified := parseBind(host)
	own, ownUnspecified := parseBind(e.Config.Host)
	ownPort := strconv.Itoa(e.Config.Port)
	if !unspecified && public(ip) {
		return []Finding{e.inProduction(MetricsAddress, address+" is a public address: the metrics are public",
			remedy)}, nil
	}
	if port == ownPort && port != "0" && (unspecified || ownUnspecified || own == ip) {
		const remedy = "Choose another port in METRICS_ADDR, such as 9464."
		if !e.Config.Metrics.Set {
			return []Finding{warning(MetricsAddress, address+", the default, is the address of the host: it starts "+
				"without metrics", remedy)}, nil
		}
		return []Finding{problem(MetricsAddress, address+" is the address of the host: it does not start", remedy)}, nil
	}
	if port == "0" {
		return []Finding{ok(MetricsAddress, "the system chooses the port of "+address)}, nil
	}
	at := net.JoinHostPort(reachableAt(ip, unspecified), port)
	status, body, err := fetch(ctx, "http://"+at+"/metrics")
	switch {
	case err == nil && status == http.StatusOK && strings.Contains(body, "\nbooking_"):
		return []Finding{ok(MetricsAddress, at+" answers with the host's metrics"), deliveries(body)}, nil
	case err == nil:
		return []Finding{warning(MetricsAddress,
			"something else answers at "+at+": the host has no metrics, or does not start",
			"Choose another address in METRICS_ADDR, or stop the other program.")}, nil
	case !e.Config.Metrics.Set && !e.Config.Production:
		return []Finding{ok(MetricsAddress, at+", the default, is not public; nothing answers there")}, nil
	}
	slow := errors.Is(err, context.DeadlineExceeded)
	status, body, err = fetch(ctx, "http://"+net.JoinHostPort(reachableAt(own, ownUnspecified), ownPort)+"/health")
	if err == nil && status == http.StatusOK && strings.TrimSpace(body) == `{"status":"ok"}` {
		if slow {
			return []Finding{warning(MetricsAddress, "a host runs here, and "+at+" does not answer in time, as when "+
				"its database hangs", "See the findings about the database, then run doctor again.")}, nil
		}
		return []Finding{warning(MetricsAddress, "a host runs here, and nothing answers at "+at,
				"Look for METRICS_ADDR in the log of the host's start, and run doctor with the environment of the "+
					"host.")},
			nil
	}
	return []Finding{ok(MetricsAddress, at+" is not public; no host runs here; if one should: RUNBOOK.md, "+
		"\"Host down\"")}, nil
}

// local reports whether a host name or an address is a loopback one.
func local(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && addr.IsLoopback()
}

// shared is the address space of carriers and overlay networks, RFC 6598.
var shared = netip.MustParsePrefix("100.64.0.0/10")

func public(ip netip.Addr) bool {
	return !ip.IsLoopback() && !ip.IsPrivate() && !ip.IsLinkLocalUnicast() && !shared.Contains(ip)
}

// parseBind parses the address of a listener; unspecified is all addresses.
func parseBind(host string) (ip netip.Addr, unspecified bool) {
	ip, err := netip.ParseAddr(host)
	ip = ip.Unmap()
	return ip, err != nil || ip.IsUnspecified()
}

// reachableAt is the address at which this machine reaches a listener.
func reachableAt(ip netip.Addr, unspecified bool) string {
	if unspecified {
		return "127.0.0.1"
	}
	return ip.String()
}

// fetch gets the start of a page on this machine.
func fetch(ctx context.Context, url string) (status int, body string, err error) {
	// A scrape waits two seconds for a database that hangs.
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req) // Without a proxy.
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, string(text), err
}
