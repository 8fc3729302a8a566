package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/internal/periodic"
	"github.com/booking-platform/booking-platform/internal/pg"
	"github.com/booking-platform/booking-platform/internal/ratelimit"
)

// User is the owner of a session.
type User struct {
	// ID is a UUID in [UserTable], else any non-empty text.
	ID    string `json:"id"`
	Email string `json:"email"`
	// Role is compared by [Auth.RequireRole], byte for byte.
	Role string `json:"role"`
	// Version is for [Users], see there.
	Version string `json:"-"`
}

// The roles of the reference host. Any text can be a role.
const (
	// RoleAdmin allows everything.
	RoleAdmin = "ADMIN"
	// RoleOps allows operating: bookings, payments, metrics.
	RoleOps = "OPS"
	// RoleReadOnly allows reading.
	RoleReadOnly = "READONLY"
)

// Users looks up users: [UserTable], or an embedder's table. Methods are called
// concurrently.
//
// A login that checked the old password while it was being changed would start a session
// after the others were ended. Both methods exclude that by setting User.Version to
// something that changes with the password, such as a counter: a session ends when the
// versions at its login and now differ. An empty Version is not compared.
type Users interface {
	// Authenticate returns the user with this address and password, as typed, not empty
	// and of bounded length. It returns ErrCredentials, after equal work, for an unknown
	// address, a wrong password and a disabled user. Any other error becomes a 503.
	Authenticate(ctx context.Context, email, password string) (User, error)
	// User returns a user, or ErrNotFound if unknown or disabled. It is called for each
	// request with a session.
	User(ctx context.Context, id string) (User, error)
}

// Options adjusts [New]. The zero value works.
type Options struct {
	// Logger logs logins, refusals and database errors; nil discards.
	Logger *slog.Logger
	// Users looks up users; nil means a [UserTable].
	Users Users
	// Cookie is the session cookie's attributes.
	Cookie CookieOptions
	// IdleTimeout ends an unused session; 0 means 12 hours. Use is recorded once a
	// minute, so a session may end that much early.
	IdleTimeout time.Duration
	// AbsoluteTimeout ends a session this long after its login; 0 means 7 days.
	AbsoluteTimeout time.Duration
	// Timeout bounds the check of one request, a login or a logout; 0 means 10 seconds.
	// lib/pq ignores it while connecting: set connect_timeout in its URL.
	Timeout time.Duration
	// Limits bound logins; zero fields have defaults.
	Limits LoginLimits
	// ClientAddress returns the client network for Limits: an IPv4 address, or the /64 of
	// an IPv6 one. nil uses RemoteAddr, which behind a proxy is one for all clients.
	ClientAddress func(*http.Request) string
	// OnUser is called for each user that RequireAPI or RequirePage identifies, before
	// the handler and in its goroutine, for an access log. It must not block.
	OnUser func(context.Context, User)
	// LoginPath is where RequirePage redirects; "" means /login.
	LoginPath string
	// WriteError writes every error response, so that a host can add its request id. The
	// codes are unauthorized, invalid_credentials, too_many_logins, forbidden,
	// validation_failed, invalid_body, body_too_large, unsupported_media_type,
	// method_not_allowed and unavailable. fields maps a field to its problem, with
	// validation_failed only. nil writes {"error":"<code>"}, with "fields" if any.
	WriteError func(w http.ResponseWriter, r *http.Request, status int, code string, fields map[string]string)
	// OnStep observes each run of a step of [Auth.Run]: its name, duration, deleted rows
	// and error. A run that the end of the context interrupted is left out.
	OnStep func(step string, took time.Duration, items int, err error)
}

// Auth manages sessions and guards handlers. It is safe for concurrent use and on several
// replicas.
type Auth struct {
	db         *sql.DB
	keys       [][]byte
	users      Users
	cookie     cookie
	device     deviceCookie
	logger     *slog.Logger
	idle       time.Duration
	absolute   time.Duration
	timeout    time.Duration
	limits     LoginLimits
	loginPath  string
	writeError func(http.ResponseWriter, *http.Request, int, string, map[string]string)

	clientAddress func(*http.Request) string
	onUser        func(context.Context, User)
	onStep        func(string, time.Duration, int, error)
}

const minSecret = 32 // Bytes.

// New returns an Auth that signs with the first of secrets and accepts all of them; they
// must be the same on every replica. To rotate, put a new secret first, which resets the
// budgets of [LoginLimits], and remove the old one after AbsoluteTimeout, which ends its
// sessions. It returns an error if db is nil, there is no secret or one is under 32
// bytes, or the options contradict each other. It does not talk to the database.
func New(db *sql.DB, secrets []string, opts Options) (*Auth, error) {
	if db == nil {
		return nil, errors.New("auth: no database given")
	}
	if len(secrets) == 0 {
		return nil, errors.New("auth: no session secret given")
	}
	a := &Auth{db: db, users: opts.Users, logger: opts.Logger, writeError: opts.WriteError,
		clientAddress: opts.ClientAddress, onUser: opts.OnUser, onStep: opts.OnStep}
	for i, secret := range secrets {
		if len(secret) < minSecret {
			return nil, fmt.Errorf("auth: session secret %d has %d bytes, at least %d are needed", i+1, len(secret),
				minSecret)
		}
		a.keys = append(a.keys, []byte(secret))
	}
	var err error
	if a.cookie, err = newCookie(opts.Cookie); err != nil {
		return nil, err
	}
	a.device = newDeviceCookie(a.cookie.blank, a.keys)
	if a.limits, err = opts.Limits.orDefaults(); err != nil {
		return nil, err
	}
	if opts.IdleTimeout < 0 || opts.AbsoluteTimeout < 0 || opts.Timeout < 0 {
		return nil, errors.New("auth: a timeout is negative")
	}
	a.idle = orDefault(opts.IdleTimeout, 12*time.Hour)
	a.absolute = orDefault(opts.AbsoluteTimeout, 7*24*time.Hour)
	a.timeout = orDefault(opts.Timeout, 10*time.Second)

	if a.loginPath = opts.LoginPath; a.loginPath == "" {
		a.loginPath = "/login"
	}
	if SafeNext(a.loginPath) != a.loginPath || strings.ContainsAny(a.loginPath, "?#") {
		return nil, fmt.Errorf("auth: login path %q is not a path of this service", a.loginPath)
	}
	if a.clientAddress == nil {
		a.clientAddress = networkOf
	}
	if a.logger == nil {
		a.logger = slog.New(slog.DiscardHandler)
	}
	if a.writeError == nil {
		a.writeError = writeError
	}
	if a.users == nil {
		if a.users, err = NewUsers(db, UsersOptions{Logger: a.logger}); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func orDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}

// Run calls [Auth.DeleteExpired] at the start and about every ten minutes, for at most 20
// seconds, until ctx ends; then it returns nil. Failures are logged, and Options.OnStep
// observes each run as "auth.DeleteExpired". Safe on every replica at once.
func (a *Auth) Run(ctx context.Context) error {
	periodic.Run(ctx, a.logger, a.onStep, periodic.Round{Every: 10 * time.Minute, Steps: []periodic.Step{
		{Name: "auth.DeleteExpired", Timeout: 20 * time.Second, Do: a.DeleteExpired},
	}})
	return nil
}

// The ARRAY makes the inner statement run once. SKIP LOCKED lets replicas share the work.
const deleteExpired = `
DELETE FROM booking_platform.sessions
WHERE token_hash = ANY (ARRAY(
    SELECT token_hash
    FROM booking_platform.sessions
    WHERE expires_at <= statement_timestamp()
       OR last_seen_at <= statement_timestamp() - make_interval(secs => $1::float8)
    LIMIT 10000
    FOR UPDATE SKIP LOCKED))`

// DeleteExpired deletes up to 10,000 expired sessions and 100,000 full budgets of
// [LoginLimits], which mean nothing any more, and returns how many, in batches of 10,000,
// one statement each. Safe on every replica at once.
func (a *Auth) DeleteExpired(ctx context.Context) (int, error) {
	n, err := affected(pg.Exec(ctx, a.db, deleteExpired, a.idle.Seconds()))
	if err != nil {
		return 0, fmt.Errorf("auth: delete expired sessions: %w", err)
	}
	if a.limits.Off {
		return n, nil
	}
	budgets, err := ratelimit.DeleteFull(ctx, a.db)
	if err != nil {
		return n, fmt.Errorf("auth: delete login budgets: %w", err)
	}
	return n + budgets, nil
}
