package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Login checks an address and a password, begins a session and sets the cookie; call it
// before anything is written to w. It is what LoginHandler does, for a page that takes a
// form and writes its own answers. It returns *ValidationError when a field is empty or
// too long, *LimitError when there were too many attempts (both before any hashing),
// ErrCredentials when the login is refused, [ErrBusy] when there is no turn to hash, and
// any other error when the database could not be asked in time. A session that r carried
// has ended when the login succeeds. Three round trips, five from somebody new, and one
// password hash, about 45 ms.
func (a *Auth) Login(ctx context.Context, w http.ResponseWriter, r *http.Request, email,
	password string) (User, error) {
	if err := checkCredentials(email, password); err != nil {
		return User{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()

	account := normalizeEmail(email)
	browser := a.device.of(r, account)
	if err := a.admit(ctx, r, account, browser); err != nil {
		if errors.As(err, new(*LimitError)) {
			a.logger.InfoContext(ctx, "too many logins")
		}
		return User{}, err
	}
	user, err := a.users.Authenticate(ctx, email, password)
	// ErrNotFound is the slip of a foreign Users; passed on, it would tell who exists.
	if errors.Is(err, ErrCredentials) || errors.Is(err, ErrNotFound) {
		a.logger.InfoContext(ctx, "login refused")
		return User{}, ErrCredentials
	}
	if err != nil {
		return User{}, fmt.Errorf("auth: log in: %w", err)
	}
	if err := a.start(ctx, w, r, user.ID, user.Version); err != nil {
		return User{}, err
	}
	if !a.limits.Off {
		a.device.set(w, browser, account)
	}
	user.Version = ""
	a.logger.InfoContext(ctx, "logged in", slog.String("user_id", user.ID))
	return user, nil
}

type userBody struct {
	User User `json:"user"`
}

// LoginHandler answers POST with a JSON body {"email":"…","password":"…"} of at most 8
// KiB: 200 {"user":{"id","email","role"}} and a new session; 400 validation_failed with
// the fields that are wrong, unknown ones included; 400 invalid_body; 401
// invalid_credentials, the same bytes for unknown, wrong and inactive; 429
// too_many_logins with Retry-After, the same bytes whoever it is about; 405, 413, 415;
// 503 with Retry-After when the database cannot be asked or too many log in at once. See
// [Auth.Login].
func (a *Auth) LoginHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		email, password, ok := a.readLogin(w, r)
		if !ok {
			return
		}
		user, err := a.Login(r.Context(), w, r, email, password)
		var wrong *ValidationError
		var limited *LimitError
		switch {
		case errors.As(err, &wrong):
			a.writeError(w, r, http.StatusBadRequest, "validation_failed", wrong.Fields)
		case errors.As(err, &limited):
			w.Header().Set("Retry-After", strconv.Itoa(int(limited.RetryAfter/time.Second)))
			a.writeError(w, r, http.StatusTooManyRequests, "too_many_logins", nil)
		case errors.Is(err, ErrCredentials):
			a.writeError(w, r, http.StatusUnauthorized, "invalid_credentials", nil)
		case err != nil:
			a.unavailable(w, r, "login not checked", err)
		default:
			writeJSON(w, http.StatusOK, userBody{user})
		}
	})
}

const maxLoginBody = 8 << 10

// readLogin reads the body strictly and answers for itself where it cannot.
func (a *Auth) readLogin(w http.ResponseWriter, r *http.Request) (email, password string, ok bool) {
	if !a.method(w, r, http.MethodPost) {
		return "", "", false
	}
	// Anything but JSON could be sent by a form on another site.
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		a.writeError(w, r, http.StatusUnsupportedMediaType, "unsupported_media_type", nil)
		return "", "", false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLoginBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		a.writeError(w, r, http.StatusRequestEntityTooLarge, "body_too_large", nil)
		return "", "", false
	}
	var given map[string]json.RawMessage
	if err != nil || json.Unmarshal(body, &given) != nil || given == nil {
		a.writeError(w, r, http.StatusBadRequest, "invalid_body", nil)
		return "", "", false
	}
	fields := map[string]string{}
	for name, value := range given {
		into := map[string]*string{"email": &email, "password": &password}[name]
		if into == nil {
			fields[name] = "is not known"
		} else if json.Unmarshal(value, into) != nil {
			fields[name] = "must be a string"
		}
	}
	if len(fields) > 0 {
		a.writeError(w, r, http.StatusBadRequest, "validation_failed", fields)
		return "", "", false
	}
	return email, password, true
}

// LogoutHandler answers POST: it ends the session and clears the cookie, 200 {"ok":true},
// any number of times. 405 for other methods, 503 when the database cannot be asked; see
// [Auth.End].
func (a *Auth) LogoutHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.method(w, r, http.MethodPost) {
			return
		}
		if err := a.End(r.Context(), w, r); err != nil {
			a.unavailable(w, r, "session not ended", err)
			return
		}
		writeJSON(w, http.StatusOK, struct {
			OK bool `json:"ok"`
		}{true})
	})
}

// MeHandler answers GET: 200 {"user":{"id","email","role"}} with a session, else as
// RequireAPI does.
func (a *Auth) MeHandler() http.Handler {
	me := a.RequireAPI(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := UserFrom(r.Context())
		writeJSON(w, http.StatusOK, userBody{user})
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.method(w, r, http.MethodGet, http.MethodHead) {
			me.ServeHTTP(w, r)
		}
	})
}

func (a *Auth) method(w http.ResponseWriter, r *http.Request, allowed ...string) bool {
	if slices.Contains(allowed, r.Method) {
		return true
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	a.writeError(w, r, http.StatusMethodNotAllowed, "method_not_allowed", nil)
	return false
}
