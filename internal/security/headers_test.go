//go:build linux

package security

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	inline = regexp.MustCompile(`(?i)<script\b|<[^>]*\s(on[a-z]+|style)\s*=|<style\b|javascript:|<base\b|<object\b|<embed\b|<iframe\b`)
	maxAge = regexp.MustCompile(`max-age=(\d+)`)
)

// policy parses a Content-Security-Policy.
func policy(a answer) map[string][]string {
	directives := map[string][]string{}
	for directive := range strings.SplitSeq(a.header.Get("Content-Security-Policy"), ";") {
		if words := strings.Fields(directive); len(words) > 0 {
			directives[words[0]] = words[1:]
		}
	}
	return directives
}

func check(t *testing.T, what string, a answer) {
	t.Helper()
	require.Len(t, a.header.Values("Content-Security-Policy"), 1, what)
	csp := policy(a)
	scripts, given := csp["script-src"]
	if !given {
		scripts = csp["default-src"]
	}
	require.NotEmpty(t, scripts, what)
	for _, source := range scripts {
		require.Contains(t, []string{"'self'", "'none'"}, source, what)
	}
	require.Equal(t, []string{"'none'"}, csp["frame-ancestors"], what)
	require.Equal(t, []string{"'none'"}, csp["base-uri"], what)
	require.Equal(t, []string{"'none'"}, csp["object-src"], what)
	require.NotContains(t, a.header.Get("Content-Security-Policy"), "unsafe", what)
	require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"), what)
	require.Equal(t, "DENY", a.header.Get("X-Frame-Options"), what)
	age := maxAge.FindStringSubmatch(a.header.Get("Strict-Transport-Security"))
	require.NotNil(t, age, what)
	seconds, err := strconv.Atoi(age[1])
	require.NoError(t, err)
	require.GreaterOrEqual(t, seconds, 365*24*60*60, what)
	require.Empty(t, a.header.Get("Access-Control-Allow-Origin"), what)
	require.Empty(t, a.header.Get("Server"), what)
	require.Empty(t, a.header.Get("X-Powered-By"), what)
	if strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		require.Empty(t, inline.FindAllString(a.body, -1),
			"%s: the policy blocks it", what)
	}
	if a.body != "" {
		require.NotEmpty(t, a.header.Get("Content-Type"), what)
	}
}

func securityHeaders(t *testing.T, c *cluster) {
	admin := c.member(t, "ADMIN")
	reader := c.member(t, "READONLY")
	visitor := c.stranger(t)
	resource := c.addResource(t)
	starts := visitor.slots(resource)
	// Names that would execute if they were not escaped.
	a := visitor.post("/api/bookings", m{
		"resource": resource, "start": starts[0], "firstName": `<script>alert(1)</script>`,
		"lastName": `"><img src=x onerror=alert(1)>`, "email": c.someone(),
	})
	require.Equal(t, http.StatusCreated, a.status, a.brief())
	var b created
	a.into(t, &b)
	c.know("the token of a booking", b.Token)
	mine := "?booking=" + b.ID + "&token=" + b.Token
	feed := c.feedToken(t, admin.post("/api/resources/"+resource+"/feeds", nil))

	// What caches may store contains no customer's data.
	shared := map[string]string{"/static/style.css": "public, max-age=300", "/static/icon.svg": "public, max-age=300"}
	// A client that polls may store it, and revalidates.
	shared["/calendar/"+feed+".ics"] = "private, no-cache"
	shared["/api/bookings/"+b.ID+"/calendar.ics?token="+b.Token] = "private, no-cache"
	shared["/api/resources"] = "no-cache"
	for path, kept := range shared {
		a := visitor.get(path)
		check(t, path, a)
		if a.status == http.StatusOK {
			require.Equal(t, kept, a.header.Get("Cache-Control"), path)
		} else {
			require.Equal(t, "no-store", a.header.Get("Cache-Control"), path)
		}
	}
	for path, want := range map[string]int{
		"/": 200, "/?resource=" + resource: 200, "/?from=x&party=%3Cscript%3E": 200, "/login": 200,
		"/login?next=%22%3E%3Cscript%3E": 200, "/cancel": 200,
		"/success" + mine: 200, "/success?session_id=" + b.StripeSessionID: 200, "/booking/cancel" + mine: 200,
		"/booking/move" + mine: 200,
		"/success":             404, "/success?booking=%3Cscript%3E&token=x": 404, "/booking/cancel": 404,
		"/booking/move": 404,
		"/dashboard":    302, "/nothing/here": 404, "/static/": 404, "/static/nothing": 404, "//": 404,
		"/%3Cscript%3E": 404, "/webhook": 405, "/book": 303,
		"/health": 200, "/health/db": 200, "/api/resources/none/availability": 404,
		"/api/resources/" + resource + "/availability?from=x": 400,
		"/api/bookings/" + b.ID + "?token=" + b.Token:         200, "/api/bookings/" + b.ID: 401, "/api/bookings": 401,
		"/reservations": 401, "/payments": 401, "/admin/metrics": 401,
		"/auth/me": 401, "/calendar/none.ics": 404,
	} {
		for _, verb := range []string{http.MethodGet, http.MethodHead} {
			a := visitor.do(verb, path, "", "")
			require.Equal(t, want, a.status, "%s %s: %s", verb, path, a.brief())
			check(t, verb+" "+path, a)
			require.Equal(t, "no-store", a.header.Get("Cache-Control"), "%s %s", verb, path)
		}
	}
	for path, want := range map[string]int{
		"/dashboard": 200, "/dashboard?status=%3Cscript%3E": 400, "/reservations": 200, "/api/bookings": 200,
		"/api/bookings/" + b.ID: 200, "/payments": 200, "/payments?limit=x": 400,
		"/admin/metrics": 200, "/auth/me": 200,
	} {
		a := admin.get(path)
		require.Equal(t, want, a.status, "%s: %s", path, a.brief())
		check(t, path+" by ADMIN", a)
		require.Equal(t, "no-store", a.header.Get("Cache-Control"), path)
	}
	require.Contains(t, admin.get("/dashboard").body, "&lt;script&gt;alert(1)&lt;/script&gt;",
		"what is looked at is there")
	for what, a := range map[string]answer{
		"not allowed":      reader.get("/admin/metrics"),
		"a login":          c.stranger(t).logInByForm(reader.email, reader.password, ""),
		"a login by JSON":  c.stranger(t).logIn(reader.email, reader.password),
		"a refused login":  c.stranger(t).logInByForm(`"><script>`, wrong, ""),
		"a login unfilled": c.stranger(t).form("/login", nil),
		"a logout":         c.stranger(t).form("/logout", nil),
		"a form unfilled":  visitor.form("/book", nil),
		"a bad body":       visitor.do(http.MethodPost, "/api/bookings", "application/json", "{"),
		"another type":     visitor.do(http.MethodPost, "/api/bookings", "text/xml", "<a/>"),
		"a body too large": visitor.do(http.MethodPost, "/auth/login", "application/json",
			strings.Repeat(" ", 9<<10)),
		"a form too large": visitor.do(http.MethodPost, "/login", "application/x-www-form-urlencoded",
			strings.Repeat("x", 9<<10)),
		"another site":     visitor.form("/book", nil, "Origin", "https://evil.example"),
		"a webhook forged": visitor.do(http.MethodPost, "/webhook", "application/json", "{}"),
		"another method":   visitor.do("PROPFIND", "/", "", ""),
		"trace":            visitor.do(http.MethodTrace, "/", "", ""),
		"options": visitor.do(http.MethodOptions, "/api/bookings", "", "", "Origin", "https://evil.example",
			"Access-Control-Request-Method", "POST"),
		"a booking":           visitor.post("/api/bookings", bookingRequest(resource, starts[1], c.someone())),
		"a booking taken":     visitor.post("/api/bookings", bookingRequest(resource, starts[0], c.someone())),
		"a cancellation asks": visitor.form("/booking/cancel", m{"booking": b.ID, "token": "x"}),
	} {
		check(t, what, a)
		require.Equal(t, "no-store", a.header.Get("Cache-Control"), what)
		require.GreaterOrEqual(t, a.status, 200, what)
		require.Less(t, a.status, 500, fmt.Sprintf("%s: %s", what, a.brief()))
	}
}

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
	// Counters for operators require a role.
	require.Equal(t, http.StatusUnauthorized, c.stranger(t).get("/admin/metrics").status)
	require.Equal(t, http.StatusForbidden, c.member(t, "READONLY").get("/admin/metrics").status)

	// A private address serves metrics and profiles, and nothing else.
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
		for _, path := range []string{"/debug/vars", "/debug/pprof/cmdline", "/debug/pprof/symbol", "/", "/dashboard",
			"/login"} {
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
