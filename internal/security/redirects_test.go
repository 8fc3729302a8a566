//go:build linux

package security

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// away is what some browser or proxy might resolve to another site.
var away = []string{
	"//evil.example", "//evil.example/%2e%2e", "///evil.example", "////evil.example", `/\evil.example`,
	`\\evil.example`, `\/evil.example`, `/\/evil.example`,
	"%2f%2fevil.example", "/%2f%2fevil.example", "/%2fevil.example", "/%5cevil.example", "/%5C%5Cevil.example",
	"/%09/evil.example", "/%0d%0aevil.example",
	"/\t/evil.example", "\t//evil.example", "/\n/evil.example", "/\r\n/evil.example", " //evil.example",
	"/ /evil.example", "\x00//evil.example", "/\x0b/evil.example",
	"javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", " javascript:alert(1)",
	"/javascript\n:alert(1)", "data:text/html,x", "vbscript:x",
	"https://evil.example", "http://evil.example", "https:evil.example", "https:/evil.example", "https:///evil.example",
	"HTTPS://evil.example", "http:\\\\evil.example",
	"//booking.example.com@evil.example", "https://booking.example.com@evil.example",
	"https://booking.example.com.evil.example", "//evil.example:443/", "//[::1]/", "ftp://evil.example",
	"/..//evil.example", "/.//evil.example", "/a/..//evil.example", "/%2e%2e//evil.example", "/./\\evil.example",
	"evil.example", ".evil.example", "@evil.example", "?//evil.example", "",
	"/\u2215evil.example", "\uff0f\uff0fevil.example", "/\u00a0/evil.example", "/dashboard\r\nSet-Cookie: x=y",
	"/dashboard\r\n\r\n<script>", strings.Repeat("/a", 2000),
}

var hidden = regexp.MustCompile(`name="next" value="([^"]*)"`)

func nextStaysLocal(t *testing.T, c *cluster) {
	email, password := c.addUser(t, "OPS")
	stays := map[string]string{"/dashboard?status=confirmed&q=a%20b": "/dashboard?status=confirmed&q=a%20b",
		"/reservations": "/reservations"}
	for _, next := range away {
		stays[next] = "/dashboard"
	}
	visitor := c.stranger(t)
	n := 0
	for next, want := range stays {
		page := visitor.get("/login?next=" + url.QueryEscape(next))
		require.Equal(t, http.StatusOK, page.status)
		field := hidden.FindStringSubmatch(page.body)
		require.NotNil(t, field)
		require.Equal(t, want, html.UnescapeString(field[1]), "%q on the page", next)
		a := c.stranger(t).logInByForm(email, password, next)
		require.Equal(t, http.StatusSeeOther, a.status, a.brief())
		require.Equal(t, want, a.header.Get("Location"), "%q after the login", next)
		require.Len(t, a.header.Values("Set-Cookie"), 2, "%q", next)
		require.NotContains(t, a.body, "evil.example")
		// In the query, beside the form.
		if n++; n%10 == 0 {
			a = c.stranger(t).form("/login?next="+url.QueryEscape(next), m{"email": email, "password": password})
			require.Equal(t, "/dashboard", a.header.Get("Location"))
		}
	}
	for _, query := range []string{"", "?next=//evil.example", "?x=//evil.example"} {
		a := visitor.get("/dashboard" + query)
		require.Equal(t, http.StatusFound, a.status)
		require.Equal(t, "/login?next=/dashboard"+strings.ReplaceAll(url.QueryEscape(query), "%2F", "/"),
			a.header.Get("Location"))
	}
	// Paths are not cleaned by a redirect to what looks like another host.
	for _, path := range []string{"//evil.example", "//evil.example/..", "/.//evil.example", "/%2f/evil.example",
		"/\\evil.example", "//evil.example/dashboard"} {
		a := visitor.get(path)
		require.Empty(t, a.header.Get("Location"), path)
		require.Equal(t, http.StatusNotFound, a.status, path)
	}
}

// Headers that some servers and proxies use for the requested host.
func forged() (header []string) {
	const evil = "evil.example"
	for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Server", "X-Original-Host", "X-Host",
		"X-HTTP-Host-Override"} {
		header = append(header, name, evil)
	}
	return append(header, "Host", evil, "Forwarded", "host=evil.example;proto=http", "X-Forwarded-Proto", "http",
		"X-Original-Url", "https://evil.example/",
		"X-Rewrite-Url", "//evil.example/", "X-Forwarded-Prefix", "//evil.example", "X-Forwarded-Port", "666")
}

func hostHeaders(t *testing.T, c *cluster) {
	ops := c.member(t, "ADMIN")
	resource := c.addResource(t)
	starts := c.stranger(t).slots(resource)
	for i, base := range []string{public, c.hosts[0].base} {
		ask := c.stranger(t)
		ask.base = base
		staff := *ops.client
		staff.base = base
		said := map[string]answer{}
		a := ask.post("/api/bookings", bookingRequest(resource, starts[2*i], c.someone()), forged()...)
		require.Equal(t, http.StatusCreated, a.status, a.brief())
		said["a booking"] = a
		var b created
		a.into(t, &b)
		c.know("the token of a booking", b.Token)
		a = ask.form("/book", m{"resource": resource, "start": starts[2*i+1], "firstName": "Ada", "lastName": "L",
			"email": c.someone(), "party": 1, "key": base}, forged()...)
		require.Equal(t, http.StatusSeeOther, a.status, a.brief())
		said["a booking by form"] = a
		for _, s := range c.stripe.Sessions() {
			require.True(t, strings.HasPrefix(s.SuccessURL, public+"/success"), s.SuccessURL)
			require.True(t, strings.HasPrefix(s.CancelURL, public+"/"), s.CancelURL)
		}
		said["a feed"] = staff.post("/api/resources/"+resource+"/feeds", nil, forged()...)
		feed := c.feedToken(t, said["a feed"])
		said["another link"] = staff.post("/api/bookings/"+b.ID+"/renew-link", nil, forged()...)
		require.Contains(t, said["another link"].body, `"url":"`+public+"/success?")
		said["another link"].into(t, &b)
		c.know("the token of a booking", b.Token)
		mine := "?booking=" + b.ID + "&token=" + b.Token
		for _, path := range []string{
			"/", "/login", "/dashboard", "/cancel", "/nothing", "/static/style.css", "/static/", "/success",
			"/success" + mine, "/booking/cancel" + mine, "/booking/move" + mine,
			"/success?session_id=" + b.StripeSessionID, "/api/bookings/" + b.ID + "?token=" + b.Token,
			"/api/bookings/" + b.ID, "/api/resources", "/health", "/health/db", "/auth/me",
			"/calendar/" + feed + ".ics",
		} {
			said[path] = ask.get(path, forged()...)
			said[path+", by staff"] = staff.get(path, forged()...)
		}
		require.Equal(t, "/login?next=/dashboard", said["/dashboard"].header.Get("Location"))
		said["a login"] = ask.logInByForm(ops.email, ops.password, "", forged()...)
		require.Equal(t, "/dashboard", said["a login"].header.Get("Location"))
		said["a logout"] = ask.form("/logout", nil, forged()...)
		require.Equal(t, "/login", said["a logout"].header.Get("Location"))
		said["a cancellation"] = ask.form("/booking/cancel", m{"booking": b.ID, "token": b.Token}, forged()...)
		for what, a := range said {
			for name, values := range a.header {
				require.NotContains(t, strings.Join(values, "\n"), "evil.example", "%s: %s", what, name)
			}
			require.NotContains(t, a.body, "evil.example", what)
			require.NotContains(t, a.body, "http://booking", "%s: what the client says of the scheme", what)
			if location := a.header.Get("Location"); location != "" {
				require.Regexp(t, `^/[^/\\]|^https://checkout\.stripe\.example/`, location, what)
			}
		}
	}
}
