package doctor

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// headers looks at what protects the pages in browsers.
func (v *visitor) headers(ctx context.Context) Finding {
	r, err := v.get(ctx, "/")
	if err != nil {
		return failed(BaseHeaders, err)
	}
	var lacks []string
	for name, part := range map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
		"Cross-Origin-Opener-Policy": "same-origin",
	} {
		if !strings.Contains(r.header.Get(name), part) {
			lacks = append(lacks, name)
		}
	}
	csp := r.header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'self'") || !strings.Contains(csp, "frame-ancestors 'none'") ||
		strings.Contains(csp, "unsafe-inline") {
		lacks = append(lacks, "Content-Security-Policy")
	}
	if v.secure() && !strings.Contains(r.header.Get("Strict-Transport-Security"), "max-age=") {
		lacks = append(lacks, "Strict-Transport-Security")
	}
	if len(lacks) > 0 {
		return problem(BaseHeaders, "the page has not, or not as the host sends them, the headers "+
			strings.Join(slices.Sorted(slices.Values(lacks)), ", "),
			"Have the proxy leave the host's headers as they are, and run the host with APP_ENV=production behind https.")
	}
	return ok(BaseHeaders, "the page has the headers that protect it")
}

// cookie looks at the session cookie, as the answer to a logout takes it back: nobody has
// to log in for it.
func (v *visitor) cookie(ctx context.Context) Finding {
	r, err := v.request(ctx, http.MethodPost, "/auth/logout", "")
	if err != nil {
		return failed(BaseCookie, err)
	}
	cookies := (&http.Response{Header: r.header}).Cookies()
	for _, c := range cookies {
		if !strings.HasSuffix(c.Name, "booking_session") {
			continue
		}
		var lacks []string
		if !c.HttpOnly {
			lacks = append(lacks, "HttpOnly")
		}
		if c.SameSite != http.SameSiteLaxMode && c.SameSite != http.SameSiteStrictMode {
			lacks = append(lacks, "SameSite")
		}
		if v.secure() && !c.Secure {
			lacks = append(lacks, "Secure")
		}
		if c.Path != "/" {
			lacks = append(lacks, "Path=/")
		}
		if len(lacks) > 0 {
			return problem(BaseCookie, "the session cookie is without "+strings.Join(lacks, ", "),
				"Unset COOKIE_SECURE and COOKIE_SAMESITE, run the host with APP_ENV=production, and have the proxy leave Set-Cookie as it is.")
		}
		return ok(BaseCookie, "the session cookie has the flags it should have")
	}
	return problem(BaseCookie, fmt.Sprintf("POST /auth/logout answers %d and takes no session cookie back", r.status),
		"See that this is the address of the host and that the proxy passes POST and Set-Cookie on.")
}

// api: a program without a session is told so in JSON, and not sent to a page.
func (v *visitor) api(ctx context.Context) Finding {
	r, err := v.get(ctx, "/api/bookings", "Accept", "text/html")
	if err != nil {
		return failed(BaseAPI, err)
	}
	var body struct {
		Error string `json:"error"`
	}
	if r.status != http.StatusUnauthorized || r.into(&body) != nil || body.Error != "unauthorized" {
		return problem(BaseAPI, fmt.Sprintf("GET /api/bookings without a session answers %d, and not 401 in JSON",
			r.status),
			"Have the proxy pass the host's answers on as they are; if it does, take the host off the network and report this.")
	}
	return ok(BaseAPI, "without a session the API answers 401 in JSON")
}

// page: a person without a session is sent to the login.
func (v *visitor) page(ctx context.Context) Finding {
	r, err := v.get(ctx, "/dashboard")
	if err != nil {
		return failed(BasePage, err)
	}
	if r.status != http.StatusFound || !strings.HasPrefix(r.header.Get("Location"), "/login?next=") {
		return problem(BasePage, fmt.Sprintf("GET /dashboard without a session answers %d, and not 302 to /login",
			r.status),
			"Have the proxy pass the host's answers on as they are; if it does, take the host off the network and report this.")
	}
	return ok(BasePage, "without a session pages send to the login")
}

// webhook: what nobody has signed is refused, by the host itself.
func (v *visitor) webhook(ctx context.Context) Finding {
	r, err := v.request(ctx, http.MethodPost, "/webhook", "{}", "Content-Type", "application/json")
	if err != nil {
		return failed(BaseWebhook, err)
	}
	switch r.status {
	case http.StatusBadRequest:
		return ok(BaseWebhook, "an unsigned event is refused with 400")
	case http.StatusTooManyRequests:
		return warning(BaseWebhook, "an unsigned event is refused with 429: many come from this address",
			"See in the host's log who sends them, and run this again in a minute.")
	}
	return problem(BaseWebhook, fmt.Sprintf("an unsigned event is answered %d, and not 400", r.status),
		"Have the proxy pass POST /webhook on to the host, without a login and with its body as it is; Stripe reaches the same address.")
}

// metrics: counters are for operators.
func (v *visitor) metrics(ctx context.Context) Finding {
	for _, path := range []string{"/metrics", "/admin/metrics"} {
		r, err := v.get(ctx, path)
		if err != nil {
			return failed(BaseMetrics, err)
		}
		if r.status < 300 {
			return problem(BaseMetrics, fmt.Sprintf("GET %s answers %d to anybody", path, r.status),
				"Have the proxy pass no requests to the address of the metrics, which is a private one.")
		}
	}
	return ok(BaseMetrics, "metrics are not public")
}
