package middleware

import (
	"fmt"
	"net/http"
	"strings"
)

// headers sets what every answer carries; a route may set its own in their place.
//
// form-action reaches any https address, because Chrome applies it to the redirect that
// follows a form, and Stripe's page may have a domain of the account's own.
func headers(next http.Handler, opts Options) http.Handler {
	targets := strings.Join(append([]string{"'self'", "https:"}, opts.FormTargets...), " ")
	csp := "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; form-action " + targets
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", csp)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		// Owner tokens travel in the query: no other site may learn it.
		h.Set("Referrer-Policy", "same-origin")
		// Nearly every answer is somebody's own; what is public says so itself.
		h.Set("Cache-Control", "no-store")
		if opts.HSTS {
			h.Set("Strict-Transport-Security", "max-age=63072000")
		}
		next.ServeHTTP(w, r)
	})
}

// crossOrigin refuses what a browser sends from another site, unless it only reads.
func crossOrigin(next http.Handler, opts Options) (http.Handler, error) {
	protection := http.NewCrossOriginProtection()
	for _, origin := range opts.TrustedOrigins {
		if err := protection.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("middleware: trust an origin: %w", err)
		}
	}
	for _, pattern := range opts.Exempt {
		protection.AddInsecureBypassPattern(pattern)
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		WriteError(w, r, http.StatusForbidden, "cross_origin", nil)
	}))
	return protection.Handler(next), nil
}
