package auth

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"

	"github.com/booking-platform/booking-platform/internal/pg"
)

type userKey struct{}

// UserFrom returns the user that RequireAPI or RequirePage found, and false outside of
// them.
func UserFrom(ctx context.Context) (User, bool) {
	user, ok := ctx.Value(userKey{}).(User)
	return user, ok
}

// RequireAPI lets requests with a session through to next, which finds the user by
// [UserFrom], and answers 401 {"error":"unauthorized"} to others, whatever they accept.
// It answers 503 {"error":"unavailable"} when the session cannot be checked. What passes
// is marked Cache-Control: no-store, which next may change.
func (a *Auth) RequireAPI(next http.Handler) http.Handler {
	return a.require(next, func(w http.ResponseWriter, r *http.Request) {
		a.writeError(w, r, http.StatusUnauthorized, "unauthorized", nil)
	})
}

// RequirePage is RequireAPI for pages: a visitor without a session is redirected (302) to
// LoginPath, with the path and query of a GET or HEAD in the parameter next. The login
// page passes that through [SafeNext].
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

// RequireRole lets users through who have one of roles and answers 403
// {"error":"forbidden"} to others. It goes inside RequireAPI or RequirePage; without them
// nobody is known, and everybody gets 401. It asks the database nothing.
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

// writeError is what Options.WriteError is by default.
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
	// The client may have gone; nobody is left to be told.
	_ = json.NewEncoder(w).Encode(body)
}

// unavailable is the answer where the database could not be asked: neither a 401, which
// would send the user to log in again, nor a pass.
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
		// The client hung up and took the query with it: nothing is wrong with the
		// database.
		level = slog.LevelInfo
	}
	a.logger.LogAttrs(ctx, level, msg, slog.Any("error", err), slog.String("sqlstate", pg.SQLState(err)))
}
