package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// ErrActive means that a user can log in and therefore cannot be deleted.
var ErrActive = errors.New("auth: the user is active: disable it first")

const accountByEmail = `SELECT` + accountColumns + ` FROM booking_platform.users u WHERE u.email = $1::text`

// Account returns the user with an address, compared without case, whether or not it may
// log in, or [ErrNotFound]. One round trip.
func (t *UserTable) Account(ctx context.Context, email string) (Account, error) {
	a, err := scanAccount(t.db.QueryRowContext(ctx, accountByEmail, normalizeEmail(email)).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return Account{}, ErrNotFound
	}
	if err != nil {
		return Account{}, fmt.Errorf("auth: look up an account: %w", err)
	}
	return a, nil
}

const deleteUser = `
WITH deleted AS (
    DELETE FROM booking_platform.users u WHERE u.email = $1::text AND NOT u.active
    RETURNING u.id::text AS id
), ended AS (
    DELETE FROM booking_platform.sessions s USING deleted d WHERE s.user_id = d.id
    RETURNING s.user_id
)
SELECT (SELECT count(*) FROM deleted), (SELECT count(*) FROM ended)`

// Delete deletes a disabled user with its sessions, and returns how many sessions these
// were. An active user stays: the error is [ErrActive], and [ErrNotFound] if there is
// none. Nothing else refers to the user but what the program has written itself, such as
// the actors in the history of bookings. Safe on several replicas. One round trip when it
// deletes.
func (t *UserTable) Delete(ctx context.Context, email string) (sessions int, err error) {
	type counts struct{ users, sessions int }
	n, err := pg.Autocommit(ctx, t.db, func(ctx context.Context, q pg.Querier) (n counts, err error) {
		err = q.QueryRowContext(ctx, deleteUser, normalizeEmail(email)).Scan(&n.users, &n.sessions)
		return n, err
	})
	if err != nil {
		return 0, fmt.Errorf("auth: delete a user: %w", err)
	}
	if n.users > 0 {
		return n.sessions, nil
	}
	if _, err := t.Account(ctx, email); err != nil {
		return 0, err
	}
	return 0, ErrActive
}

// SessionInfo is a session as its user may see it. Times are UTC.
type SessionInfo struct {
	CreatedAt, LastSeenAt, ExpiresAt time.Time
}

const sessionsOf = `
SELECT s.created_at, s.last_seen_at, s.expires_at FROM booking_platform.sessions s
WHERE s.user_id = $1::text ORDER BY s.created_at LIMIT 10000`

// Sessions returns the sessions of a user by its id, oldest first, without their tokens;
// at most 10,000. One round trip.
func (t *UserTable) Sessions(ctx context.Context, userID string) ([]SessionInfo, error) {
	rows, err := t.db.QueryContext(ctx, sessionsOf, userID)
	if err != nil {
		return nil, fmt.Errorf("auth: list sessions: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []SessionInfo
	for rows.Next() {
		var s SessionInfo
		if err := rows.Scan(&s.CreatedAt, &s.LastSeenAt, &s.ExpiresAt); err != nil {
			return nil, fmt.Errorf("auth: list sessions: %w", err)
		}
		out = append(out, SessionInfo{s.CreatedAt.UTC(), s.LastSeenAt.UTC(), s.ExpiresAt.UTC()})
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("auth: list sessions: %w", err)
	}
	return out, nil
}
