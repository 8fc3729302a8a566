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
	// ID is a UUID in [UserTable], any non-empty text in another table.
	ID    string `json:"id"`
	Email string `json:"email"`
	// Role is compared by [Auth.RequireRole], byte for byte.
	Role string `json:"role"`
	// Version is set by a [Users] alone: see there.
	Version string `json:"-"`
}

// The roles of the reference host. Other text can be a role too.
const (
	// RoleAdmin allows everything.
	RoleAdmin = "ADMIN"
	// RoleOps allows operating: bookings, payments, metrics.
	RoleOps = "OPS"
	// RoleReadOnly allows reading.
	RoleReadOnly = "READONLY"
)

// Users looks up users: [UserTable], or an embedder's own table. Its methods are called
// concurrently.
//
// A login in progress while the user's password changes has checked the old password, and
// starts its session after the user's sessions were ended. To exclude that, both methods
// set User.Version to something that changes with the password, such as a counter: a
// session ends as soon as the versions at its login and now differ. An empty Version is
// not compared.
type Users interface {
	// Authenticate returns the user with this address and password, both as typed, not
	// empty and of bounded length. It returns ErrCredentials, after the same amount of
	// work, for an unknown address, a wrong password and a user who may not log in. Any
	// other error becomes a 503.
	Authenticate(ctx context.Context, email, password string) (User, error)
	// User returns the user with this id, and ErrNotFound if there is none or it is
	// disabled. It is called for each request with a session.
	User(ctx context.Context, id string) (User, error)
}

// Options adjusts [New]. The zero value works.
type Options struct {
	// Logger logs logins, refusals and database errors; nil discards.
	Logger *slog.Logger
	// Users looks up users; nil uses a [UserTable].
	Users Users
	// Cookie sets the attributes of the session cookie.
	Cookie CookieOptions
	// IdleTimeout ends an unused session; 0 means 12 hours. Use is recorded once a
	// minute, so a session may end a minute early.
	IdleTimeout time.Duration
	// AbsoluteTimeout ends a session this long after its login; 0 means 7 days.
	AbsoluteTimeout time.Duration
	// Timeout bounds the check of one request, a login or a logout; 0 means 10 seconds.
	// It is the deadline of a context, which lib/pq ignores while it connects: set
	// connect_timeout in its URL.
	Timeout time.Duration
	// Limits are the limits of logins; zero fields have defaults.
	Limits LoginLimits
	// ClientAddress returns the client network for Limits: an IPv4 address, or the /64 of
	// an IPv6 address. nil uses RemoteAddr, which behind a proxy is one for all clients.
	ClientAddress func(*http.Request) string
	// OnUser is called for each user that RequireAPI or RequirePage identifies, before
	// the handler and in the request's goroutine, for an access log. It must not block;
	// nil is ignored.
	OnUser func(context.Context, User)
	// LoginPath is where RequirePage redirects; "" means /login.
	LoginPath string
	// WriteError writes every error response of this package, so that a host can add its
	// request id. The codes are unauthorized, invalid_credentials, too_many_logins,
	// forbidden, validation_failed, invalid_body, body_too_large, unsupported_media_type,
	// method_not_allowed and unavailable. fields maps a field to its problem, with
	// validation_failed only. nil writes {"error":"<code>"}, with "fields" if there are
	// any.
	WriteError func(w http.ResponseWriter, r *http.Request, status int, code string, fields map[string]string)
	// OnStep is called after each run of a step of [Auth.Run], with the step's name, its
	// duration, how many rows it deleted and its error, unless the end of the context
	// interrupted the run.
	OnStep func(step string, took time.Duration, items int, err error)
}

// Auth manages sessions and guards handlers. It is safe for concurrent use, and on any
// number of replicas that share a database.
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

// New returns an Auth that signs with the first of secrets and accepts all of them, byte
// for byte; they must be the same on every replica. To rotate, put a new secret first,
// which resets the budgets of [LoginLimits], and remove the old one after
// AbsoluteTimeout, which ends the sessions signed with it. New returns an error if db is
// nil, if there is no secret or one is shorter than 32 bytes, or if the options
// contradict each other. It does not talk to the database.
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

// Run does the background work of an Auth and returns nil when ctx ends:
// [Auth.DeleteExpired] at the start and about every ten minutes, with a time limit of 20
// seconds. A failed run is logged. Options.OnStep observes each run as
// "auth.DeleteExpired". Safe on every replica at once.
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
// [LoginLimits], which have no effect any more, and returns how many rows. It works in
// batches of 10,000, one statement each. Safe on every replica at once.
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
