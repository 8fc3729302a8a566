package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
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

// Login checks an address and a password, starts a session, ending the one that r
// carried, and sets the cookie; call it before writing to w. The errors are
// *[ValidationError] and *[LimitError], both before any hashing, [ErrCredentials] and
// [ErrBusy]; any other means that the database did not answer in time. Three round trips,
// five for the first login of a network and account, and one hash of about 45 ms.
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
	// A Users that returns ErrNotFound by mistake must not reveal which accounts exist.
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
// the invalid and unknown fields; 400 invalid_body; 401 invalid_credentials; 429
// too_many_logins with Retry-After; 405, 413, 415; 503 with Retry-After when the database
// does not answer or too many passwords wait. The bytes of 401 and 429 do not depend on
// the account. See [Auth.Login].
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

// readLogin has written the response when it returns false.
func (a *Auth) readLogin(w http.ResponseWriter, r *http.Request) (email, password string, ok bool) {
	if !a.method(w, r, http.MethodPost) {
		return "", "", false
	}
	// A form on another site can send other content types.
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

// LogoutHandler answers POST: 200 {"ok":true}, with the session, if any, ended and the
// cookie cleared; 405; 503. See [Auth.End].
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

// MeHandler answers GET: 200 {"user":{"id","email","role"}}, or as RequireAPI.
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

const (
	deviceName = "booking_device"
	nonceBytes = 16
	// Browsers keep a cookie for at most 400 days.
	deviceSeconds = 400 * 24 * 60 * 60
)

// deviceCookie marks a browser that has logged in to an account: a random number, signed
// with the account, for the budget LoginLimits.KnownBrowser alone.
type deviceCookie struct {
	blank http.Cookie
	keys  [][]byte
}

func newDeviceCookie(session http.Cookie, keys [][]byte) deviceCookie {
	blank := session
	blank.Name = deviceName
	if session.Name != cookieName {
		blank.Name = "__Host-" + deviceName
	}
	blank.MaxAge = deviceSeconds
	return deviceCookie{blank: blank, keys: keys}
}

func deviceMAC(key, nonce []byte, account string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("booking-platform/device\x00"))
	mac.Write(nonce) // Of fixed length, so that nonce and account cannot be shifted.
	mac.Write([]byte(account))
	return mac.Sum(nil)
}

// of returns the number if this browser has logged in to this account, else nil.
func (d deviceCookie) of(r *http.Request, account string) []byte {
	got, err := r.Cookie(d.blank.Name)
	if err != nil {
		return nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(got.Value)
	if err != nil || len(b) != nonceBytes+sha256.Size {
		return nil
	}
	nonce, mac := b[:nonceBytes], b[nonceBytes:]
	for _, key := range d.keys {
		if hmac.Equal(mac, deviceMAC(key, nonce, account)) {
			return nonce
		}
	}
	return nil
}

// set keeps the number: with a new one at each login, a user with one valid password
// could create any number of budgets.
func (d deviceCookie) set(w http.ResponseWriter, nonce []byte, account string) {
	if nonce == nil {
		nonce = make([]byte, nonceBytes)
		_, _ = rand.Read(nonce) // It never fails, see newToken.
	}
	fresh := d.blank
	fresh.Value = base64.RawURLEncoding.EncodeToString(append(nonce[:nonceBytes:nonceBytes],
		deviceMAC(d.keys[0], nonce, account)...))
	http.SetCookie(w, &fresh)
}
