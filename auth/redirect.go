package auth

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const maxNext = 2048 // Bytes, to fit common limits of headers.

// SafeNext returns next if it is a path, with or without a query, of this service, and
// "/" otherwise. Use it before redirecting to the parameter next: //host, /\host, encoded
// slashes, control characters, dot segments, schemes and absolute URLs would lead the
// user to another site.
func SafeNext(next string) string {
	if len(next) > maxNext || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") {
		return "/"
	}
	for _, c := range []byte(next) {
		// Browsers remove tabs and line ends from a URL, and read a backslash as a slash.
		if c <= ' ' || c > '~' || c == '\\' {
			return "/"
		}
	}
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil {
		return "/"
	}
	// u.Path is decoded: a proxy may decode %2f and %5c as well.
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

// loginURL returns the login page with the request's path as next, except for a POST,
// which a redirect cannot repeat.
func (a *Auth) loginURL(r *http.Request) string {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return a.loginPath
	}
	// r.URL may have lost a prefix to http.StripPrefix.
	asked := r.URL.RequestURI()
	if u, err := url.ParseRequestURI(r.RequestURI); err == nil {
		asked = u.RequestURI()
	}
	// A slash needs no escape in a query.
	return a.loginPath + "?next=" + strings.ReplaceAll(url.QueryEscape(SafeNext(asked)), "%2F", "/")
}
