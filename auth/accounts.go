package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/booking-platform/booking-platform/internal/pg"
	"github.com/google/uuid"
)

// Account is a user for an administrator. Times are UTC.
type Account struct {
	User
	// Active is false for a disabled user.
	Active    bool      `json:"active"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

const accountColumns = ` u.id::text, u.email, u.role, u.active, u.created_at, u.updated_at`

func scanAccount(scan func(...any) error) (Account, error) {
	var a Account
	err := scan(&a.ID, &a.Email, &a.Role, &a.Active, &a.CreatedAt, &a.UpdatedAt)
	a.CreatedAt, a.UpdatedAt = a.CreatedAt.UTC(), a.UpdatedAt.UTC()
	return a, err
}

const addUser = `
INSERT INTO booking_platform.users AS u (id, email, password_hash, role)
VALUES ($1::uuid, $2::text, $3::text, $4::text)
ON CONFLICT DO NOTHING
RETURNING` + accountColumns

// Add adds an active user. It returns [ErrExists] for an address that is taken, compared
// without case, and *[ValidationError] for a malformed address, a password under 10
// characters or over 1024 bytes, or an empty role or one over 64 bytes. One hash and one
// round trip.
func (t *UserTable) Add(ctx context.Context, email, password, role string) (Account, error) {
	if err := checkNewUser(email, password); err != nil {
		return Account{}, err
	}
	if err := checkRole(role); err != nil {
		return Account{}, err
	}
	hash, err := t.passwords.hash(ctx, password)
	if err != nil {
		return Account{}, fmt.Errorf("auth: hash the password: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Account{}, fmt.Errorf("auth: make an id: %w", err)
	}
	a, err := t.queryAccount(ctx, addUser, id.String(), normalizeEmail(email), hash, role)
	if errors.Is(err, sql.ErrNoRows) {
		return Account{}, ErrExists
	}
	if err != nil {
		return Account{}, fmt.Errorf("auth: add a user: %w", err)
	}
	return a, nil
}

const listUsers = `
SELECT` + accountColumns + `
FROM booking_platform.users u
WHERE u.email > $1::text
ORDER BY u.email LIMIT $2::integer`

// List returns users by address, after the given one; "" starts with the first. limit is
// 1 to 500; anything else means 500. One round trip.
func (t *UserTable) List(ctx context.Context, after string, limit int) ([]Account, error) {
	if limit < 1 || limit > 500 {
		limit = 500
	}
	rows, err := t.db.QueryContext(ctx, listUsers, normalizeEmail(after), limit)
	if err != nil {
		return nil, fmt.Errorf("auth: list users: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []Account
	for rows.Next() {
		a, err := scanAccount(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("auth: list users: %w", err)
		}
		out = append(out, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("auth: list users: %w", err)
	}
	return out, nil
}

const setRole = `
UPDATE booking_platform.users u
SET role = $2::text, updated_at = CASE WHEN u.role = $2::text THEN u.updated_at ELSE statement_timestamp() END
WHERE u.email = $1::text
RETURNING` + accountColumns

// SetRole changes a role with the user's next request, on every replica. It returns
// [ErrNotFound] or *[ValidationError]. One round trip.
func (t *UserTable) SetRole(ctx context.Context, email, role string) (Account, error) {
	if err := checkRole(role); err != nil {
		return Account{}, err
	}
	return t.change(ctx, "set the role", setRole, email, role)
}

const enable = `
UPDATE booking_platform.users u
SET active = true, updated_at = CASE WHEN u.active THEN u.updated_at ELSE statement_timestamp() END
WHERE u.email = $1::text
RETURNING` + accountColumns

// Enable lets a disabled user log in again; earlier sessions stay ended. It returns
// [ErrNotFound]. One round trip.
func (t *UserTable) Enable(ctx context.Context, email string) (Account, error) {
	return t.change(ctx, "enable", enable, email)
}

// The new version also ends the session of a login in progress.
const disable = `
WITH changed AS (
    UPDATE booking_platform.users u
    SET active = false, version = u.version + 1,
        updated_at = CASE WHEN u.active THEN statement_timestamp() ELSE u.updated_at END
    WHERE u.email = $1::text
    RETURNING` + accountColumns + `
), ended AS (
    DELETE FROM booking_platform.sessions s USING changed c WHERE s.user_id = c.id
)
SELECT c.id, c.email, c.role, c.active, c.created_at, c.updated_at FROM changed c`

// Disable prevents logins and ends the user's sessions, also of a login in progress, on
// every replica. It returns [ErrNotFound]. One round trip.
func (t *UserTable) Disable(ctx context.Context, email string) (Account, error) {
	return t.change(ctx, "disable", disable, email)
}

const setPassword = `
WITH changed AS (
    UPDATE booking_platform.users u
    SET password_hash = $2::text, version = u.version + 1, updated_at = statement_timestamp()
    WHERE u.email = $1::text
    RETURNING` + accountColumns + `
), ended AS (
    DELETE FROM booking_platform.sessions s USING changed c WHERE s.user_id = c.id
)
SELECT c.id, c.email, c.role, c.active, c.created_at, c.updated_at FROM changed c`

// SetPassword changes a password and ends the user's sessions as Disable does. It returns
// [ErrNotFound] or *[ValidationError]. One hash and one round trip.
func (t *UserTable) SetPassword(ctx context.Context, email, password string) (Account, error) {
	if err := checkNewPassword(password); err != nil {
		return Account{}, err
	}
	hash, err := t.passwords.hash(ctx, password)
	if err != nil {
		return Account{}, fmt.Errorf("auth: hash the password: %w", err)
	}
	return t.change(ctx, "set the password", setPassword, email, hash)
}

func (t *UserTable) change(ctx context.Context, op, query, email string, args ...any) (Account, error) {
	a, err := t.queryAccount(ctx, query, append([]any{normalizeEmail(email)}, args...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return Account{}, ErrNotFound
	}
	if err != nil {
		return Account{}, fmt.Errorf("auth: %s: %w", op, err)
	}
	return a, nil
}

func (t *UserTable) queryAccount(ctx context.Context, query string, args ...any) (Account, error) {
	return pg.Autocommit(ctx, t.db, func(ctx context.Context, q pg.Querier) (Account, error) {
		return scanAccount(q.QueryRowContext(ctx, query, args...).Scan)
	})
}
