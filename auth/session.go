package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// Querier runs statements: *sql.DB, *sql.Tx, *sql.Conn and *sqlx.Tx are such.
type Querier interface {
	// ExecContext runs a statement that returns no rows.
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	// QueryContext runs a statement that returns rows.
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	// QueryRowContext runs a statement that returns one row.
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// $1 are the hashes of the token the request carried, none when it carried none.
const startSession = `
WITH ended AS (
    DELETE FROM booking_platform.sessions
    WHERE token_hash = ANY (ARRAY(SELECT decode(h, 'hex') FROM unnest(string_to_array($1::text, ',')) AS h))
)
INSERT INTO booking_platform.sessions (token_hash, user_id, expires_at, user_version)
VALUES ($2::bytea, $3::text, statement_timestamp() + make_interval(secs => $4::float8), $5::text)`

// Start begins a session for a user who has proven who they are in some other way, such
// as a single sign-on, and sets the cookie; call it before anything is written to w. The
// token is always new, and a session that r carried has ended, so that a token planted
// before the login is worth nothing after it. The user is not looked up: the next request
// does that. It is not limited either. One round trip.
func (a *Auth) Start(ctx context.Context, w http.ResponseWriter, r *http.Request, userID string) error {
	return a.start(ctx, w, r, userID, "")
}

// start begins a session that is over when the user has another version; an empty one is
// compared with none.
func (a *Auth) start(ctx context.Context, w http.ResponseWriter, r *http.Request, userID, version string) error {
	if userID == "" {
		return errors.New("auth: start session: no user id given")
	}
	token := newToken()
	_, err := pg.ExecAlone(ctx, a.db, startSession,
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

// SKIP LOCKED: a request must not wait for another that records the same, nor for a
// transaction that is ending the user's sessions.
const touchSession = `
UPDATE booking_platform.sessions
SET last_seen_at = statement_timestamp()
WHERE token_hash = ANY (ARRAY(
    SELECT token_hash
    FROM booking_platform.sessions
    WHERE token_hash = ANY (ARRAY(SELECT decode(h, 'hex') FROM unnest(string_to_array($1::text, ',')) AS h))
      AND last_seen_at < statement_timestamp() - make_interval(secs => $2::float8)
    FOR UPDATE SKIP LOCKED))`

// Current returns the user whose session the request carries. It returns ErrNoSession
// when there is none, when it has expired by the database's clock, when its user is gone
// or disabled, or has another [User].Version than at the login; any other error means
// that the database could not be asked. Without a well-formed cookie it does not go to
// the database. Otherwise it takes one round trip for the session and one for the user,
// and about once a minute one more that records the use.
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
	// Begun by a login that had seen what no longer holds: see Users.
	if version != "" && version != user.Version {
		return User{}, ErrNoSession
	}
	user.Version = ""
	if stale {
		// The user is known, so the request goes on even where the use cannot be
		// recorded, on a read-only standby say.
		if _, err := pg.ExecAlone(ctx, a.db, touchSession, hashes, touchAfter); err != nil {
			a.logError(r.Context(), "session use not recorded", err)
		}
	}
	return user, nil
}

// touchAfter keeps the hot path free of writes. A short idle timeout is recorded more
// often, or sessions in use would end.
func (a *Auth) touchAfter() time.Duration { return min(time.Minute, a.idle/4) }

const endSession = `
DELETE FROM booking_platform.sessions
WHERE token_hash = ANY (ARRAY(SELECT decode(h, 'hex') FROM unnest(string_to_array($1::text, ',')) AS h))`

// End ends the session that the request carries, on every replica, and clears the cookie;
// call it before anything is written to w. A request without a session is no error. When
// the database cannot be asked the cookie stays, so that the user can try again: without
// it the session would live on with nobody able to end it. One round trip.
func (a *Auth) End(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	if hashes := a.hashes(a.cookie.token(r)); hashes != "" {
		ctx, cancel := context.WithTimeout(ctx, a.timeout)
		defer cancel()
		if _, err := pg.ExecAlone(ctx, a.db, endSession, hashes); err != nil {
			return fmt.Errorf("auth: end session: %w", err)
		}
	}
	a.cookie.clear(w)
	return nil
}

// EndAll ends every session of a user, on every replica, and returns how many there were:
// after a password change, say. A login that is under way may begin another; [Users]
// tells how to prevent it. One round trip.
func (a *Auth) EndAll(ctx context.Context, userID string) (int, error) {
	n, err := affected(pg.ExecAlone(ctx, a.db, endAllSessions, userID))
	if err != nil {
		return 0, fmt.Errorf("auth: end sessions of a user: %w", err)
	}
	return n, nil
}

const endAllSessions = `DELETE FROM booking_platform.sessions WHERE user_id = $1::text`

// EndAllTx is EndAll inside the caller's transaction: the sessions end when it commits,
// together with whatever else it did to the user, and live on when it does not.
func (a *Auth) EndAllTx(ctx context.Context, q Querier, userID string) (int, error) {
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
