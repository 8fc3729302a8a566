//go:build linux

package security

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// inside are common paths of debug and metrics handlers.
var inside = []string{
	"/metrics", "/metrics/", "//metrics", "/%6detrics", "/./metrics", "/x/../metrics", "/METRICS", "/metrics.json",
	"/metrics?x", "/prometheus", "/-/metrics", "/stats", "/status",
	"/actuator", "/actuator/prometheus", "/server-status", "/debug", "/debug/", "/debug/vars", "/debug/requests",
	"/debug/events", "/debug/pprof", "/debug/pprof/", "/debug/pprof/cmdline",
	"/debug/pprof/profile?seconds=1", "/debug/pprof/symbol", "/debug/pprof/trace?seconds=1", "/debug/pprof/heap",
	"/debug/pprof/goroutine?debug=2", "//debug/pprof/", "/%64ebug/pprof/",
	"/pprof", "/pprof/heap", "/.env", "/.git/config", "/config", "/env", "/stripe/", "/stripe/v1/checkout/sessions",
}

func notPublic(t *testing.T, c *cluster) {
	// A session gives no further access.
	for _, browser := range []*client{c.stranger(t), c.member(t, "ADMIN").client} {
		ways := []*client{browser}
		for _, h := range c.hosts {
			ways = append(ways, browser.at(h))
		}
		for _, asked := range ways {
			for _, path := range inside {
				a := asked.get(path)
				require.Equal(t, http.StatusNotFound, a.status, "%s%s: %s", asked.base, path, a.brief())
				require.Contains(t, a.body, `"not_found"`, path)
			}
		}
	}
	// Counters for operators require their roles.
	require.Equal(t, http.StatusUnauthorized, c.stranger(t).get("/admin/metrics").status)
	require.Equal(t, http.StatusForbidden, c.member(t, "READONLY").get("/admin/metrics").status)

	// Metrics and profiles are served at a private address only, which serves nothing else.
	scraper := c.stranger(t)
	for _, h := range c.hosts {
		u, err := url.Parse(h.metrics)
		require.NoError(t, err)
		at, err := netip.ParseAddrPort(u.Host)
		require.NoError(t, err)
		require.True(t, at.Addr().IsLoopback(), h.metrics)
		require.NotEqual(t, h.base, "http://"+u.Host)
		scraper.base = "http://" + u.Host
		a := scraper.get("/metrics")
		require.Equal(t, http.StatusOK, a.status)
		require.Contains(t, a.body, "# TYPE", "it is where the metrics are")
		require.Equal(t, http.StatusOK, scraper.get("/debug/pprof/heap").status)
		for _, path := range []string{"/debug/vars", "/debug/pprof/cmdline", "/debug/pprof/symbol", "/", "/dashboard", "/login"} {
			require.Equal(t, http.StatusNotFound, scraper.get(path).status, path)
		}
		elsewhere, err := net.DialTimeout("tcp",
			netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), at.Port()).String(), 5*time.Second)
		if err == nil {
			_ = elsewhere.Close()
		}
		require.Error(t, err, "the metrics are at every address of the machine")
	}
}
