package doctor

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// configuration tells everything that would keep the host from starting.
func (e *examination) configuration(context.Context) ([]Finding, error) {
	if len(e.Problems) == 0 {
		return []Finding{ok(Configuration, "complete and well-formed")}, nil
	}
	var found []Finding
	for _, p := range e.Problems {
		found = append(found, problem(Configuration, p.Name+" "+p.Wrong, sentence(p.Remedy)))
	}
	return found, nil
}

// sentence begins with a capital and ends with a full stop.
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
		return []Finding{
			ok(Environment, "production"),
			warning(AppURL, "APP_URL is an address of this machine alone",
				"Set APP_URL to the address at which customers reach the host; they return to it after paying."),
		}, nil
	case e.Config.Production:
		return []Finding{ok(Environment, "production")}, nil
	case strings.HasPrefix(e.Config.AppURL, "https://") && !local(host):
		return []Finding{warning(Environment, "development, at the public address of APP_URL: the session cookie need not be secure, and a stand-in may take Stripe's place",
			"Set APP_ENV=production where customers come.")}, nil
	}
	return []Finding{ok(Environment,
		"development; what going live would need is told by: APP_ENV=production host doctor")}, nil
}

// cookie looks at what browsers make of the session cookie. What they would drop in any
// case is a problem of the configuration already.
func (e *examination) cookie(context.Context) ([]Finding, error) {
	var found []Finding
	c, appURL := e.Config.Cookie, e.Config.AppURL
	if c.Secure && strings.HasPrefix(appURL, "http://") {
		const remedy = "Serve the host over https and say so in APP_URL, or set COOKIE_SECURE=false in development."
		u, err := url.Parse(appURL)
		if err == nil && local(u.Hostname()) {
			found = append(found, warning(CookieSecure, "the session cookie is secure and APP_URL is http: some browsers keep it on this machine alone, others never", remedy))
		} else {
			found = append(found, problem(CookieSecure,
				"the session cookie is secure and APP_URL is http: browsers drop it, and nobody can log in", remedy))
		}
	}
	if c.SameSite == http.SameSiteNoneMode && !e.wrong("COOKIE_SAMESITE") {
		found = append(found, warning(CookieSite,
			"COOKIE_SAMESITE is none: other sites' pages may use the sessions of their visitors",
			"Set COOKIE_SAMESITE=lax unless the pages are shown inside another site."))
	}
	if c.Domain != "" && !strings.Contains(c.Domain, ".") && !local(c.Domain) && !e.wrong("COOKIE_DOMAIN") {
		found = append(found, problem(CookieDomain,
			"COOKIE_DOMAIN is a whole top-level domain: browsers drop the cookie, and nobody can log in",
			"Unset COOKIE_DOMAIN to have the cookie for this host alone."))
	}
	if len(found) == 0 {
		found = append(found, ok(CookieSecure, "the session cookie suits APP_URL"))
	}
	return found, nil
}

// proxy: something ends TLS in front of the host, which serves plain http alone.
func (e *examination) proxy(context.Context) ([]Finding, error) {
	t := e.Config.TrustProxy
	if e.wrong("TRUST_PROXY") {
		return nil, nil
	}
	if e.Config.Production && strings.HasPrefix(e.Config.AppURL, "https://") && t.Count == 0 && len(t.Networks) == 0 {
		return []Finding{warning(TrustProxy, "APP_URL is https, so a proxy is in front, and TRUST_PROXY is 0: all customers count as one address, whose limits they share",
			"Set TRUST_PROXY to the number of proxies in front of the host, or to their networks.")}, nil
	}
	return []Finding{ok(TrustProxy, "suits APP_URL")}, nil
}

// local tells whether a host name or an address is this machine's own.
func local(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && addr.IsLoopback()
}
