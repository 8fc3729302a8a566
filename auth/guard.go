package auth

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/booking-platform/booking-platform/internal/pg"
)

type userKey struct{}

// UserFrom returns the user that RequireAPI or RequirePage identified, and false outside
// of them.
func UserFrom(ctx context.Context) (User, bool) {
	user, ok := ctx.Value(userKey{}).(User)
	return user, ok
}

// RequireAPI passes requests with a session to next, which calls [UserFrom]. It answers
// 401 {"error":"unauthorized"} without one, and 503 {"error":"unavailable"} when the
// database does not answer. It sets Cache-Control: no-store, which next may change.
func (a *Auth) RequireAPI(next http.Handler) http.Handler {
	return a.require(next, func(w http.ResponseWriter, r *http.Request) {
		a.writeError(w, r, http.StatusUnauthorized, "unauthorized", nil)
	})
}

// RequirePage is RequireAPI for pages: without a session it redirects (302) to LoginPath,
// with the path and query of a GET or HEAD in the parameter next, which the login page
// checks with [SafeNext].
func (a *Auth) RequirePage(next http.Handler) http.Handler {
	return a.require(next, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, a.loginURL(r), http.StatusFound)
	})
}

func (a *Auth) require(next http.Handler, anonymous http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, err := a.Current(r)
		if errors.Is(err, ErrNoSession) {
			anonymous(w, r)
			return
		}
		if err != nil {
			a.unavailable(w, r, "session not checked", err)
			return
		}
		if a.onUser != nil {
			a.onUser(r.Context(), user)
		}
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, user)))
	})
}

// RequireRole answers 403 {"error":"forbidden"} to users without one of roles. Use it
// inside RequireAPI or RequirePage; outside it answers 401. No round trip.
func (a *Auth) RequireRole(roles ...string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, ok := UserFrom(r.Context())
			switch {
			case !ok:
				a.writeError(w, r, http.StatusUnauthorized, "unauthorized", nil)
			case !slices.Contains(roles, user.Role):
				a.writeError(w, r, http.StatusForbidden, "forbidden", nil)
			default:
				next.ServeHTTP(w, r)
			}
		})
	}
}

func writeError(w http.ResponseWriter, _ *http.Request, status int, code string, fields map[string]string) {
	writeJSON(w, status, struct {
		Error  string            `json:"error"`
		Fields map[string]string `json:"fields,omitempty"`
	}{code, fields})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// A 401 would send the user to the login page although the session may be valid.
func (a *Auth) unavailable(w http.ResponseWriter, r *http.Request, msg string, err error) {
	a.logError(r.Context(), msg, err)
	w.Header().Set("Retry-After", "1")
	if errors.Is(err, ErrBusy) {
		w.Header().Set("Retry-After", "5")
	}
	a.writeError(w, r, http.StatusServiceUnavailable, "unavailable", nil)
}

func (a *Auth) logError(ctx context.Context, msg string, err error) {
	level := slog.LevelError
	if ctx.Err() != nil {
		// The client disconnected, which cancelled the query.
		level = slog.LevelInfo
	}
	a.logger.LogAttrs(ctx, level, msg, slog.Any("error", err), slog.String("sqlstate", pg.SQLState(err)))
}

const maxNext = 2048 // Bytes, to fit common limits of headers.

// SafeNext returns next if it is a path of this service, with or without a query, and "/"
// otherwise. Use it before redirecting to the parameter next: //host, /\host, encoded
// slashes, control characters, dot segments and absolute URLs would leave the site.
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

// loginURL leaves out the path of a POST, which a redirect cannot repeat.
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
