package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// CookieOptions configures the session cookie and the cookie of a known browser
// ([LoginLimits]). The zero value is right for production: __Host-booking_session and
// __Host-booking_device, Secure, HttpOnly, SameSite=Lax, Path=/.
type CookieOptions struct {
	// Insecure omits Secure, for development over http. The name then has no __Host-
	// prefix, which requires Secure.
	Insecure bool
	// SameSite is Lax when zero. None requires Secure.
	SameSite http.SameSite
	// Domain shares the cookie with subdomains. The name then has no __Host- prefix,
	// which forbids a domain.
	Domain string
}

const cookieName = "booking_session"

type cookie struct{ blank http.Cookie }

func newCookie(opts CookieOptions) (cookie, error) {
	c := http.Cookie{
		Name:     "__Host-" + cookieName,
		Path:     "/",
		Domain:   opts.Domain,
		Secure:   !opts.Insecure,
		HttpOnly: true,
		SameSite: opts.SameSite,
	}
	if opts.Insecure || opts.Domain != "" {
		c.Name = cookieName
	}
	switch opts.SameSite {
	case 0, http.SameSiteDefaultMode:
		c.SameSite = http.SameSiteLaxMode
	case http.SameSiteLaxMode, http.SameSiteStrictMode:
	case http.SameSiteNoneMode:
		if opts.Insecure {
			return cookie{}, errors.New("auth: a cookie with SameSite=None must be Secure")
		}
	default:
		return cookie{}, fmt.Errorf("auth: unknown SameSite mode %d", opts.SameSite)
	}
	if err := c.Valid(); err != nil {
		return cookie{}, fmt.Errorf("auth: session cookie: %w", err)
	}
	return cookie{blank: c}, nil
}

// set sends a token, without Max-Age: the database decides when a session ends.
func (c cookie) set(w http.ResponseWriter, token string) {
	fresh := c.blank
	fresh.Value = token
	http.SetCookie(w, &fresh)
	w.Header().Set("Cache-Control", "no-store")
}

func (c cookie) clear(w http.ResponseWriter) {
	gone := c.blank
	gone.MaxAge = -1
	http.SetCookie(w, &gone)
	w.Header().Set("Cache-Control", "no-store")
}

// token returns the request's session token, or "".
func (c cookie) token(r *http.Request) string {
	got, err := r.Cookie(c.blank.Name)
	if err != nil || !plausibleToken(got.Value) {
		return ""
	}
	return got.Value
}

const tokenBytes = 32 // 256 random bits.

func newToken() string {
	var b [tokenBytes]byte
	// It never fails: since Go 1.24 the process ends when the system has no randomness.
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func plausibleToken(token string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	return err == nil && len(b) == tokenBytes
}

// tokenHash is the primary key of a session. The prefix separates it from other uses of
// the secret.
func tokenHash(key []byte, token string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("booking-platform/session\x00"))
	mac.Write([]byte(token))
	return mac.Sum(nil)
}

// hashes returns the possible keys of a token's session, one per secret, as
// comma-separated hex, which every driver can send.
func (a *Auth) hashes(token string) string {
	if token == "" {
		return ""
	}
	list := make([]string, len(a.keys))
	for i, key := range a.keys {
		list[i] = hex.EncodeToString(tokenHash(key, token))
	}
	return strings.Join(list, ",")
}
