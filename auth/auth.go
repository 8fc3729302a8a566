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
)

// User is who a session belongs to.
type User struct {
	// ID is the user's identity: a UUID in [UserTable], any non-empty text in somebody
	// else's table.
	ID string `json:"id"`
	// Email is shown to the user; nothing here depends on it.
	Email string `json:"email"`
	// Role is what [Auth.RequireRole] compares, exactly as written.
	Role string `json:"role"`
	// Version is for a [Users] to set: another one ends the user's sessions. See there.
	// Nothing else looks at it, and it is handed on to nobody.
	Version string `json:"-"`
}

// The roles the reference host knows. A role is any text: an embedder may have others.
const (
	// RoleAdmin may do everything.
	RoleAdmin = "ADMIN"
	// RoleOps runs the service: bookings, payments, metrics.
	RoleOps = "OPS"
	// RoleReadOnly looks and changes nothing.
	RoleReadOnly = "READONLY"
)

// Users is where users come from. [UserTable] is one; an embedder with a users table of
// its own writes another. Its methods are called concurrently.
//
// A login that is under way while the user's password changes has seen the old one, and
// begins its session after those of the user have been ended. Users that need not fear
// this leave User.Version empty. Others return, from both methods, something that is
// changed together with the password, such as a number: a session that a login has begun
// is over as soon as the two differ.
type Users interface {
	// Authenticate returns the user with this address and password, both as they were
	// typed: not empty, of bounded length, the address neither trimmed nor in lower case.
	// It returns ErrCredentials, after the same work, for an unknown address, a wrong
	// password and a user that may not log in. Any other error means that the question
	// could not be answered, and becomes a 503.
	Authenticate(ctx context.Context, email, password string) (User, error)
	// User returns the user with this id, and ErrNotFound when there is none or it has
	// been disabled. It is called with each request that carries a session, which is what
	// makes disabling a user take effect at once.
	User(ctx context.Context, id string) (User, error)
}

// Options adjusts [New]. The zero value works.
type Options struct {
	// Logger gets logins, refusals and database errors; nil discards.
	Logger *slog.Logger
	// Users is where users come from; nil means our own table, as from NewUsers with zero
	// options.
	Users Users
	// Cookie shapes the session cookie.
	Cookie CookieOptions
	// IdleTimeout ends a session that was not used for so long; 0 means 12 hours. Use is
	// recorded about once a minute, so a session may end up to a minute early.
	IdleTimeout time.Duration
	// AbsoluteTimeout ends a session so long after its login, however busy it is; 0 means
	// 7 days. It is fixed when the session begins.
	AbsoluteTimeout time.Duration
	// Timeout bounds the check of one request, one login and one logout, waiting for the
	// database included; 0 means 10 seconds. It is a context's deadline, which lib/pq
	// does not heed while it connects: give its URL a connect_timeout.
	Timeout time.Duration
	// Limits bounds the attempts to log in.
	Limits LoginLimits
	// ClientAddress says which network a login comes from, for Limits. What it returns is
	// compared as it is: an IPv4 address, the /64 of an IPv6 address. nil is that of
	// RemoteAddr, which behind a proxy is the proxy's, and makes one network of all
	// clients.
	ClientAddress func(*http.Request) string
	// OnUser is told of each user whom RequireAPI or RequirePage knows, before the
	// handler runs and in the request's own goroutine, so that a log outside of them can
	// name who it was. That includes those whom RequireRole then refuses. It must not
	// block; nil tells nobody.
	OnUser func(context.Context, User)
	// LoginPath is where RequirePage sends a visitor without a session; "" means /login.
	LoginPath string
	// WriteError writes every error answer of this package, so that a host can add its
	// request id. The codes are unauthorized, invalid_credentials, too_many_logins,
	// forbidden, validation_failed, invalid_body, body_too_large, unsupported_media_type,
	// method_not_allowed and unavailable; fields is nil except with validation_failed,
	// where it maps a field to what is wrong with it. nil writes {"error":"<code>"}, with
	// "fields" where there are any.
	WriteError func(w http.ResponseWriter, r *http.Request, status int, code string, fields map[string]string)
	// OnStep is called after each run of a step of [Auth.Run]: the step's name, its
	// duration, how many rows it deleted, and why it failed. A run that the end of the
	// context interrupted is not reported.
	OnStep func(step string, took time.Duration, items int, err error)
}

// Auth keeps sessions and guards handlers. Make one with [New]; it is safe for concurrent
// use, and any number of replicas share one database.
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

const minSecret = 32 // Bytes: the strength of the HMAC.

// New returns an Auth on db that signs with the first of secrets and accepts all of them.
// They are used byte for byte, a line end that a file brings along included, and must be
// the same on every replica. To rotate, put a new secret in front, and drop the old one
// when AbsoluteTimeout has passed; sessions signed with a secret that is no longer listed
// have ended, and browsers are no longer known to have logged in. Another first secret
// begins the budgets of [LoginLimits] anew. It returns an error when db is nil, when
// there is no secret or one is shorter than 32 bytes, and when the options contradict
// each other. It does not talk to the database.
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
		return nil, fmt.Errorf("auth: login path %q is no path of this service", a.loginPath)
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
