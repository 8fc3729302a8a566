package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/booking-platform/booking-platform/internal/pg"
	"github.com/google/uuid"
)

// UsersOptions adjusts [NewUsers]. The zero value works.
type UsersOptions struct {
	// Logger logs stored hashes that cannot be read.
	Logger *slog.Logger
	// MaxHashing bounds concurrent hashing, at 19 MiB and one core each; 0 means
	// GOMAXPROCS. Others wait up to five seconds for [ErrBusy].
	MaxHashing int
	// RefusalTime is the minimum duration of a failed comparison, without a core or hash
	// slot; 0 means 500 ms, enough for bcrypt with cost 12. It should exceed the
	// costliest hash in the table.
	RefusalTime time.Duration
}

// UserTable implements [Users] on booking_platform.users, with argon2id (19 MiB, two
// passes, one lane). It is safe for concurrent use and on several replicas.
type UserTable struct {
	db        *sql.DB
	logger    *slog.Logger
	passwords *passwords
}

// NewUsers returns the users in db, or an error if db is nil. It does not talk to the
// database.
func NewUsers(db *sql.DB, opts UsersOptions) (*UserTable, error) {
	if db == nil {
		return nil, errors.New("auth: no database given")
	}
	if opts.RefusalTime < 0 {
		return nil, errors.New("auth: RefusalTime is negative")
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &UserTable{db: db, logger: opts.Logger, passwords: newPasswords(opts.MaxHashing, opts.RefusalTime)}, nil
}

const userByEmail = `
SELECT id::text, email, role, version::text, active, password_hash
FROM booking_platform.users
WHERE email = $1::text`

// Authenticate implements [Users]. The address is trimmed and compared without case. It
// returns *ValidationError for an empty or overlong field, and [ErrBusy]. One round trip,
// then one comparison without a connection, whether or not there is such a user. A bcrypt
// hash (cost up to 14) or one with other parameters is replaced, with one more hash and
// round trip. A refusal takes RefusalTime.
func (t *UserTable) Authenticate(ctx context.Context, email, password string) (User, error) {
	if err := checkCredentials(email, password); err != nil {
		return User{}, err
	}
	var user User
	var active bool
	var stored string
	err := t.db.QueryRowContext(ctx, userByEmail, normalizeEmail(email)).
		Scan(&user.ID, &user.Email, &user.Role, &user.Version, &active, &stored)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return User{}, fmt.Errorf("auth: look up user: %w", err)
	}
	// Unknown and inactive users take the same time.
	hash := t.passwords.dummy
	if err == nil && active {
		if readableHash(stored) {
			hash = stored
		} else {
			t.logger.WarnContext(ctx, "stored password hash cannot be read", slog.String("user_id", user.ID))
		}
	}
	match, err := t.passwords.matches(ctx, password, hash)
	if err != nil {
		return User{}, fmt.Errorf("auth: compare password: %w", err)
	}
	if !match {
		return User{}, ErrCredentials
	}
	if outdated(stored) {
		t.rehash(ctx, user.ID, password, stored)
	}
	return user, nil
}

// A password that has been changed meanwhile stays.
const rehashUser = `
UPDATE booking_platform.users u SET password_hash = $3::text WHERE u.id = $1::uuid AND u.password_hash = $2::text`

// If rehash fails, the next login tries again.
func (t *UserTable) rehash(ctx context.Context, id, password, stored string) {
	hash, err := t.passwords.hash(ctx, password)
	if err == nil {
		_, err = pg.Exec(ctx, t.db, rehashUser, id, stored, hash)
	}
	if err != nil {
		t.logger.WarnContext(ctx, "password hash not renewed", slog.String("user_id", id),
			slog.String("error", err.Error()), slog.String("sqlstate", pg.SQLState(err)))
	}
}

const userByID = `
SELECT id::text, email, role, version::text
FROM booking_platform.users
WHERE id = $1::uuid AND active`

// User implements [Users]. ErrNotFound: the id is unknown, disabled or not a UUID. One
// round trip.
func (t *UserTable) User(ctx context.Context, id string) (User, error) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return User{}, ErrNotFound
	}
	var user User
	err = t.db.QueryRowContext(ctx, userByID, parsed.String()).Scan(&user.ID, &user.Email, &user.Role, &user.Version)
	if errors.Is(err, sql.ErrNoRows) {
		return User{}, ErrNotFound
	}
	if err != nil {
		return User{}, fmt.Errorf("auth: load user: %w", err)
	}
	return user, nil
}

const (
	userExists = `SELECT EXISTS (SELECT 1 FROM booking_platform.users WHERE email = $1::text)`
	insertUser = `
INSERT INTO booking_platform.users (id, email, password_hash, role)
VALUES ($1::uuid, $2::text, $3::text, $4::text)
ON CONFLICT DO NOTHING`
)

// EnsureAdmin creates an active user with role ADMIN unless the address exists, which
// does not change, and reports whether it did. Call it at each start of each replica. It
// returns *ValidationError for a malformed address, and a password under 10 characters or
// over 1024 bytes. If the user exists, one round trip and no hashing.
func (t *UserTable) EnsureAdmin(ctx context.Context, email, password string) (created bool, err error) {
	if err := checkNewUser(email, password); err != nil {
		return false, err
	}
	email = normalizeEmail(email)
	var exists bool
	if err := t.db.QueryRowContext(ctx, userExists, email).Scan(&exists); err != nil {
		return false, fmt.Errorf("auth: look up the admin: %w", err)
	}
	if exists {
		return false, nil
	}
	hash, err := t.passwords.hash(ctx, password)
	if err != nil {
		return false, fmt.Errorf("auth: hash the admin's password: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return false, fmt.Errorf("auth: make an id: %w", err)
	}
	n, err := affected(pg.Exec(ctx, t.db, insertUser, id.String(), email, hash, RoleAdmin))
	if err != nil {
		return false, fmt.Errorf("auth: create the admin: %w", err)
	}
	return n == 1, nil
}

// ErrActive means that an active user cannot be deleted.
var ErrActive = errors.New("auth: the user is active: disable it first")

const accountByEmail = `SELECT` + accountColumns + ` FROM booking_platform.users u WHERE u.email = $1::text`

// Account returns the user with an address, compared without case, disabled or not, or
// [ErrNotFound]. One round trip.
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

// Delete deletes a disabled user and its sessions, and returns their number; else
// [ErrActive] or [ErrNotFound]. What the program itself has written about the user, such
// as actors in the history of bookings, stays. Safe on several replicas. One round trip.
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

// SessionInfo is a session for its user. Times are UTC.
type SessionInfo struct {
	CreatedAt, LastSeenAt, ExpiresAt time.Time
}

const sessionsOf = `
SELECT s.created_at, s.last_seen_at, s.expires_at FROM booking_platform.sessions s
WHERE s.user_id = $1::text ORDER BY s.created_at LIMIT 10000`

// Sessions returns a user's sessions by id, oldest first, without tokens; at most 10,000.
// One round trip.
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
