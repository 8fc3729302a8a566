package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// UsersOptions adjusts [NewUsers]. The zero value works.
type UsersOptions struct {
	// Logger logs stored hashes that cannot be read.
	Logger *slog.Logger
	// MaxHashing is how many passwords are hashed at once, with 19 MiB and one core each;
	// 0 means GOMAXPROCS. Others wait up to five seconds for [ErrBusy].
	MaxHashing int
	// RefusalTime is the minimum duration of a failed password comparison; 0 means 500
	// ms, enough for bcrypt with cost 12. It should exceed that of the costliest hash in
	// the table, and takes neither a core nor a hash slot.
	RefusalTime time.Duration
}

// UserTable implements [Users] on booking_platform.users, with argon2id hashes (19 MiB,
// two passes, one lane). It is safe for concurrent use and on several replicas.
type UserTable struct {
	db        *sql.DB
	logger    *slog.Logger
	passwords *passwords
}

// NewUsers returns the users in db. It returns an error if db is nil, and does not talk
// to the database.
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
// returns *ValidationError for an empty or overlong field, and [ErrBusy] after five
// seconds without a hash slot. One round trip, then one comparison whether or not there
// is such a user, without a connection. A bcrypt hash (cost up to 14) or an argon2id hash
// with other parameters is replaced at the first login, with one more hash and round
// trip. A refusal takes RefusalTime.
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

// rehash stores a checked password with hashParams. If that fails, the next login tries
// again.
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

// User implements [Users]. It returns ErrNotFound for an id that is unknown, inactive or
// not a UUID. One round trip.
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

// EnsureAdmin creates an active user with role ADMIN unless a user with this address
// exists, which does not change, and reports whether it did. Call it at each start of
// each replica. It returns *ValidationError for a malformed address and for a password
// under 10 characters or over 1024 bytes. If the user exists, one round trip and no
// hashing.
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
