package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// Querier runs statements, as *sql.DB, *sql.Tx, *sql.Conn and *sqlx.Tx do:
//
//	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
//	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
//	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
type Querier = pg.Querier

// $1 are the hashes of the token that the request carried, if any.
const startSession = `
WITH ended AS (
    DELETE FROM booking_platform.sessions
    WHERE token_hash = ANY (ARRAY(SELECT decode(h, 'hex') FROM unnest(string_to_array($1::text, ',')) AS h))
)
INSERT INTO booking_platform.sessions (token_hash, user_id, expires_at, user_version)
VALUES ($2::bytea, $3::text, statement_timestamp() + make_interval(secs => $4::float8), $5::text)`

// Start starts a session for a user authenticated otherwise, by single sign-on for
// example, and sets the cookie; call it before writing to w. The token is new and the
// session that r carried ends, against session fixation. It neither looks up the user nor
// counts against the limits. One round trip.
func (a *Auth) Start(ctx context.Context, w http.ResponseWriter, r *http.Request, userID string) error {
	return a.start(ctx, w, r, userID, "")
}

// start's session ends when the user has another version; an empty one is not compared.
func (a *Auth) start(ctx context.Context, w http.ResponseWriter, r *http.Request, userID, version string) error {
	if userID == "" {
		return errors.New("auth: start session: no user id given")
	}
	token := newToken()
	_, err := pg.Exec(ctx, a.db, startSession,
		a.hashes(a.cookie.token(r)), tokenHash(a.keys[0], token), userID, a.absolute.Seconds(), version)
	if err != nil {
		return fmt.Errorf("auth: start session: %w", err)
	}
	a.cookie.set(w, token)
	return nil
}

const loadSession = `
SELECT user_id, user_version, last_seen_at < statement_timestamp() - make_interval(secs => $3::float8)
FROM booking_platform.sessions
WHERE token_hash = ANY (ARRAY(SELECT decode(h, 'hex') FROM unnest(string_to_array($1::text, ',')) AS h))
  AND expires_at > statement_timestamp()
  AND last_seen_at > statement_timestamp() - make_interval(secs => $2::float8)`

// SKIP LOCKED: do not wait for a concurrent request or the end of all sessions.
const touchSession = `
UPDATE booking_platform.sessions
SET last_seen_at = statement_timestamp()
WHERE token_hash = ANY (ARRAY(
    SELECT token_hash
    FROM booking_platform.sessions
    WHERE token_hash = ANY (ARRAY(SELECT decode(h, 'hex') FROM unnest(string_to_array($1::text, ',')) AS h))
      AND last_seen_at < statement_timestamp() - make_interval(secs => $2::float8)
    FOR UPDATE SKIP LOCKED))`

// Current returns the user of the request's session. ErrNoSession: there is none, it has
// expired by the database's clock, its user is gone or disabled, or [User].Version has
// changed since the login. Any other error means that the database did not answer. No
// query without a well-formed cookie; else two round trips, and a third about once a
// minute to record the use.
func (a *Auth) Current(r *http.Request) (User, error) {
	hashes := a.hashes(a.cookie.token(r))
	if hashes == "" {
		return User{}, ErrNoSession
	}
	ctx, cancel := context.WithTimeout(r.Context(), a.timeout)
	defer cancel()

	var userID, version string
	var stale bool
	touchAfter := a.touchAfter().Seconds()
	err := a.db.QueryRowContext(ctx, loadSession, hashes, a.idle.Seconds(), touchAfter).Scan(&userID, &version, &stale)
	if errors.Is(err, sql.ErrNoRows) {
		return User{}, ErrNoSession
	}
	if err != nil {
		return User{}, fmt.Errorf("auth: load session: %w", err)
	}
	user, err := a.users.User(ctx, userID)
	if errors.Is(err, ErrNotFound) {
		return User{}, ErrNoSession
	}
	if err != nil {
		return User{}, fmt.Errorf("auth: load user: %w", err)
	}
	// The login checked an older password: see Users.
	if version != "" && version != user.Version {
		return User{}, ErrNoSession
	}
	user.Version = ""
	if stale {
		// On a read-only standby, for example.
		if _, err := pg.Exec(ctx, a.db, touchSession, hashes, touchAfter); err != nil {
			a.logError(r.Context(), "session use not recorded", err)
		}
	}
	return user, nil
}

// A short idle timeout needs more writes.
func (a *Auth) touchAfter() time.Duration { return min(time.Minute, a.idle/4) }

const endSession = `
DELETE FROM booking_platform.sessions
WHERE token_hash = ANY (ARRAY(SELECT decode(h, 'hex') FROM unnest(string_to_array($1::text, ',')) AS h))`

// End ends the request's session, if any, on every replica, and clears the cookie; call
// it before writing to w. When the database does not answer the cookie stays, for another
// try. One round trip.
func (a *Auth) End(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	if hashes := a.hashes(a.cookie.token(r)); hashes != "" {
		ctx, cancel := context.WithTimeout(ctx, a.timeout)
		defer cancel()
		if _, err := pg.Exec(ctx, a.db, endSession, hashes); err != nil {
			return fmt.Errorf("auth: end session: %w", err)
		}
	}
	a.cookie.clear(w)
	return nil
}

// EndAll ends every session of a user on every replica and returns how many. For a login
// in progress see [Users]. One round trip.
func (a *Auth) EndAll(ctx context.Context, userID string) (int, error) {
	n, err := affected(pg.Exec(ctx, a.db, endAllSessions, userID))
	if err != nil {
		return 0, fmt.Errorf("auth: end sessions of a user: %w", err)
	}
	return n, nil
}

const endAllSessions = `DELETE FROM booking_platform.sessions WHERE user_id = $1::text`

// ErrNoTransaction means that [Auth.EndAllTx] was given no transaction.
var ErrNoTransaction = pg.ErrNoTransaction

// EndAllTx is EndAll in the caller's transaction. A pool, or a connection without a
// transaction, is refused with [ErrNoTransaction]. One round trip, three with a
// *sql.Conn.
func (a *Auth) EndAllTx(ctx context.Context, q Querier, userID string) (int, error) {
	if err := pg.RequireTransaction(ctx, q); err != nil {
		return 0, fmt.Errorf("auth: end sessions of a user: %w", err)
	}
	n, err := affected(q.ExecContext(ctx, endAllSessions, userID))
	if err != nil {
		return 0, fmt.Errorf("auth: end sessions of a user: %w", err)
	}
	return n, nil
}

func affected(res sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}

// CookieOptions configures the session cookie and that of a known browser
// ([LoginLimits]). The zero value is right for production: __Host-booking_session and
// __Host-booking_device, Secure, HttpOnly, SameSite=Lax, Path=/.
type CookieOptions struct {
	// Insecure omits Secure, for development over http, and so the prefix __Host-.
	Insecure bool
	// SameSite is Lax when zero. None requires Secure.
	SameSite http.SameSite
	// Domain shares the cookie with subdomains, and so omits the prefix __Host-.
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

// Without Max-Age: the database decides when a session ends.
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
	// Since Go 1.24 the process ends when the system has no randomness.
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func plausibleToken(token string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	return err == nil && len(b) == tokenBytes
}

// The prefix separates a session's key from other uses of the secret.
func tokenHash(key []byte, token string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("booking-platform/session\x00"))
	mac.Write([]byte(token))
	return mac.Sum(nil)
}

// hashes returns a token's possible keys, one per secret, as comma-separated hex, which
// every driver can send.
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
