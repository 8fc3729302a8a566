package auth

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const maxNext = 2048 // Bytes; what is longer would not fit everybody's header limits.

// SafeNext returns next when it is a path (with a query, perhaps) within this service,
// and "/" otherwise. Use it on the login page, on whatever the next parameter holds,
// before redirecting: //host, /\host, encoded slashes, control characters, dot segments,
// schemes and absolute URLs would lead a freshly logged-in user elsewhere.
func SafeNext(next string) string {
	if len(next) > maxNext || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") {
		return "/"
	}
	for _, c := range []byte(next) {
		// Browsers drop tabs and line ends from a URL and read a backslash as a slash.
		if c <= ' ' || c > '~' || c == '\\' {
			return "/"
		}
	}
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil {
		return "/"
	}
	// u.Path is decoded, so that %2f and %5c count as what some proxy in between may make
	// of them.
	for _, c := range []byte(u.Path) {
		if c < ' ' || c == 0x7f || c == '\\' {
			return "/"
		}
	}
	segments := strings.Split(u.Path, "/")
	if strings.HasPrefix(u.Path, "//") || slices.Contains(segments, ".") || slices.Contains(segments, "..") {
		return "/"
	}
	return next
}

// loginURL is where a visitor without a session is sent, with the way back where there is
// one: what was posted cannot be repeated by a redirect.
func (a *Auth) loginURL(r *http.Request) string {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return a.loginPath
	}
	// RequestURI is what the browser asked for; r.URL may have lost a prefix to
	// http.StripPrefix.
	asked := r.URL.RequestURI()
	if u, err := url.ParseRequestURI(r.RequestURI); err == nil {
		asked = u.RequestURI()
	}
	// A slash needs no escape in a query, and the address stays readable.
	return a.loginPath + "?next=" + strings.ReplaceAll(url.QueryEscape(SafeNext(asked)), "%2F", "/")
}
