package auth_test

import (
	"context"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/stretchr/testify/require"
)

const sessionsOf = `SELECT count(*) FROM booking_platform.sessions WHERE user_id = $1::text`

// Every statement of the package once, with every driver.
func TestAuth_EachDriver(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		users, err := auth.NewUsers(db, quickRefusal)
		require.NoError(t, err)
		created, err := users.EnsureAdmin(t.Context(), "Admin@Example.com ", password)
		require.NoError(t, err)
		require.True(t, created)

		a := newAuth(t, db, auth.Options{Users: users})
		w := login(a, "admin@example.com", password, nil)
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		first := sessionCookie(t, w)
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.AddCookie(first)
		admin, err := a.Current(r)
		require.NoError(t, err)
		require.Equal(t, auth.User{ID: admin.ID, Email: "admin@example.com", Role: "ADMIN"}, admin)

		exec(t, db, `UPDATE booking_platform.sessions SET last_seen_at = statement_timestamp() - interval '1 hour'`)
		require.Equal(t, http.StatusOK, me(a, first))
		require.Zero(t, count(t, db, `SELECT count(*) FROM booking_platform.sessions
			WHERE last_seen_at < statement_timestamp() - interval '1 minute'`), "use is recorded")

		second := start(t, a, admin.ID)
		require.Equal(t, http.StatusOK, send(a.LogoutHandler(), http.MethodPost, "/", "", second).Code)
		require.Equal(t, http.StatusUnauthorized, me(a, second))
		require.Equal(t, http.StatusOK, me(a, first))

		n, err := a.EndAll(t.Context(), admin.ID)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Equal(t, http.StatusUnauthorized, me(a, first))

		start(t, a, admin.ID)
		exec(t, db, `UPDATE booking_platform.sessions SET expires_at = statement_timestamp()`)
		n, err = a.DeleteExpired(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, n)
	})
}

func TestStart_TokenIsStoredHashed(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a := newAuth(t, db, auth.Options{})
	cookie := start(t, a, addUser(t, db, "u@example.com", "OPS").ID)
	require.Len(t, cookie.Value, 43, "256 bits in base64url")
	require.Zero(t, count(t, db, `SELECT count(*) FROM booking_platform.sessions WHERE token_hash = $1::text::bytea
		OR octet_length(token_hash) <> 32`, cookie.Value))
	other := start(t, a, "someone")
	require.NotEqual(t, cookie.Value, other.Value)
}

func TestCurrent_Expiry(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	for name, tc := range map[string]struct {
		opts auth.Options
		move string // what has happened to the row
		want int
	}{
		"fresh":          {move: `last_seen_at = last_seen_at`, want: 200},
		"idle, in time":  {move: `last_seen_at = statement_timestamp() - interval '11 hours 59 minutes'`, want: 200},
		"idle, too long": {move: `last_seen_at = statement_timestamp() - interval '12 hours 1 second'`, want: 401},
		"busy, past end": {move: `expires_at = statement_timestamp()`, want: 401},
		"idle of a minute": {opts: auth.Options{IdleTimeout: time.Minute},
			move: `last_seen_at = statement_timestamp() - interval '61 seconds'`, want: 401},
		// The database's clock decides; a faster clock may have written this.
		"seen a moment ahead": {move: `last_seen_at = statement_timestamp() + interval '5 seconds'`, want: 200},
	} {
		a := newAuth(t, db, tc.opts)
		user := addUser(t, db, name+"@example.com", "OPS")
		cookie := start(t, a, user.ID)
		exec(t, db, `UPDATE booking_platform.sessions SET `+tc.move+` WHERE user_id = $1::text`, user.ID)
		require.Equal(t, tc.want, me(a, cookie), name)
		require.Equal(t, tc.want, me(a, cookie), "%s: asking did not revive it", name)
	}
}

func TestStart_DefaultLifetimes(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	start(t, newAuth(t, db, auth.Options{}), "seven days")
	start(t, newAuth(t, db, auth.Options{AbsoluteTimeout: 90 * time.Minute}), "as told")
	for user, want := range map[string]float64{"seven days": 7 * 24 * 3600, "as told": 90 * 60} {
		var seconds float64
		require.NoError(t, db.QueryRow(`SELECT extract(epoch FROM expires_at - created_at)::float8
			FROM booking_platform.sessions WHERE user_id = $1::text`, user).Scan(&seconds))
		require.InDelta(t, want, seconds, 1)
	}
}

// xmin changes with each write of the row.
func TestCurrent_RecordsUseOnceAMinute(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a := newAuth(t, db, auth.Options{})
	cookie := start(t, a, addUser(t, db, "u@example.com", "OPS").ID)
	version := func() (v string) {
		require.NoError(t, db.QueryRow(`SELECT xmin::text FROM booking_platform.sessions`).Scan(&v))
		return v
	}
	before := version()
	require.Equal(t, http.StatusOK, me(a, cookie))
	require.Equal(t, before, version(), "a request within the minute writes nothing")
	exec(t, db, `UPDATE booking_platform.sessions SET last_seen_at = statement_timestamp() - interval '61 seconds'`)
	before = version()
	require.Equal(t, http.StatusOK, me(a, cookie))
	require.NotEqual(t, before, version())
}

// A transaction that ends a user's sessions holds their rows.
func TestCurrent_RecordingUseDoesNotWait(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a := newAuth(t, db, auth.Options{Timeout: time.Minute})
	user := addUser(t, db, "u@example.com", "OPS")
	cookie := start(t, a, user.ID)
	exec(t, db, `UPDATE booking_platform.sessions SET last_seen_at = statement_timestamp() - interval '1 hour'`)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	_, err = a.EndAllTx(t.Context(), tx, user.ID)
	require.NoError(t, err)

	answered := make(chan int, 1)
	go func() { answered <- me(a, cookie) }()
	select {
	case code := <-answered:
		require.Equal(t, http.StatusOK, code, "not committed, so not ended")
	case <-time.After(20 * time.Second):
		t.Fatal("the request waits for the caller's transaction")
	}
}

func TestEndAllTx_RefusesPools(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a := newAuth(t, db, auth.Options{})
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	for name, q := range map[string]auth.Querier{"nothing": nil, "sql.DB": db, "a connection": conn} {
		_, err := a.EndAllTx(t.Context(), q, "user")
		require.ErrorIs(t, err, auth.ErrNoTransaction, name)
	}
	_, err = conn.ExecContext(t.Context(), `BEGIN`)
	require.NoError(t, err)
	_, err = a.EndAllTx(t.Context(), conn, "user")
	require.NoError(t, err)
}

func TestEndAllTx_CommitAndRollback(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a := newAuth(t, db, auth.Options{})
	user, other := addUser(t, db, "u@example.com", "OPS"), addUser(t, db, "o@example.com", "OPS")
	one, two, theirs := start(t, a, user.ID), start(t, a, user.ID), start(t, a, other.ID)

	for _, commit := range []bool{false, true} {
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		n, err := a.EndAllTx(t.Context(), tx, user.ID)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		want := http.StatusOK
		if commit {
			require.NoError(t, tx.Commit())
			want = http.StatusUnauthorized
		} else {
			require.NoError(t, tx.Rollback())
		}
		require.Equal(t, want, me(a, one))
		require.Equal(t, want, me(a, two))
	}
	require.Equal(t, http.StatusOK, me(a, theirs))
}

func TestCurrent_SecretRotation(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	user := addUser(t, db, "u@example.com", "OPS")
	with := func(secrets ...string) *auth.Auth {
		a, err := auth.New(db, secrets, auth.Options{})
		require.NoError(t, err)
		return a
	}
	old, both, fresh := with(secret), with(secret2, secret), with(secret2)

	signedOld, signedBoth := start(t, old, user.ID), start(t, both, user.ID)
	require.Equal(t, http.StatusOK, me(both, signedOld), "all secrets are accepted")
	require.Equal(t, http.StatusOK, me(fresh, signedBoth), "the first one signs")
	require.Equal(t, http.StatusUnauthorized, me(old, signedBoth))
	require.Equal(t, http.StatusUnauthorized, me(fresh, signedOld), "a retired secret ends its sessions")

	require.Equal(t, http.StatusOK, send(both.LogoutHandler(), http.MethodPost, "/", "", signedOld).Code)
	require.Equal(t, http.StatusUnauthorized, me(old, signedOld), "what an old secret signed can be ended too")
}

// Replicas share only the database.
func TestEnd_OtherReplicaAtOnce(t *testing.T) {
	t.Parallel()
	url := testdb.URL(t)
	db := testdb.Open(t, "pq", url)
	here, there := newAuth(t, db, auth.Options{}), newAuth(t, testdb.Open(t, "pq", url), auth.Options{})
	user := addUser(t, db, "u@example.com", "OPS")

	cookie := start(t, here, user.ID)
	require.Equal(t, http.StatusOK, me(there, cookie))
	require.Equal(t, http.StatusOK, send(here.LogoutHandler(), http.MethodPost, "/", "", cookie).Code)
	require.Equal(t, http.StatusUnauthorized, me(there, cookie), "logout")

	cookie = start(t, here, user.ID)
	require.Equal(t, http.StatusOK, me(there, cookie))
	_, err := here.EndAll(t.Context(), user.ID)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, me(there, cookie), "all of a user")

	cookie = start(t, here, user.ID)
	require.Equal(t, http.StatusOK, me(there, cookie))
	exec(t, db, `UPDATE booking_platform.users SET active = false WHERE id = $1::uuid`, user.ID)
	require.Equal(t, http.StatusUnauthorized, me(here, cookie), "disabled")
	require.Equal(t, http.StatusUnauthorized, me(there, cookie), "disabled")
}

// pausing calls a function between the check of a password and the session's start.
type pausing struct {
	auth.Users
	meanwhile func()
}

func (p pausing) Authenticate(ctx context.Context, email, password string) (auth.User, error) {
	u, err := p.Users.Authenticate(ctx, email, password)
	if err == nil {
		p.meanwhile()
	}
	return u, err
}

// A login with the old password while it is being changed.
func TestLogin_PasswordChangesMeanwhile(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	users, err := auth.NewUsers(db, quickRefusal)
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		change func(email string)
		want   int
	}{
		"nothing": {func(string) {}, http.StatusOK},
		"the role": {func(email string) { _, err = users.SetRole(t.Context(), email, auth.RoleReadOnly) },
			http.StatusOK},
		"the password": {func(email string) {
			_,
				err = users.SetPassword(t.Context(), email, "quite another password")
		}, http.StatusUnauthorized},
		"the same password": {func(email string) { _, err = users.SetPassword(t.Context(), email, password) },
			http.StatusUnauthorized},
		"disabled": {func(email string) { _, err = users.Disable(t.Context(), email) }, http.StatusUnauthorized},
		"off and on again": {func(email string) {
			_, err = users.Disable(t.Context(), email)
			_, err = users.Enable(t.Context(), email)
		}, http.StatusUnauthorized},
		"enabled already":    {func(email string) { _, err = users.Enable(t.Context(), email) }, http.StatusOK},
		"all sessions ended": {func(string) { exec(t, db, `DELETE FROM booking_platform.sessions`) }, http.StatusOK},
	} {
		u := addUser(t, db, strings.ReplaceAll(name, " ", "-")+"@example.com", auth.RoleOps)
		a := newAuth(t, db, auth.Options{Users: pausing{users, func() { tc.change(u.Email) }}})
		w := login(a, u.Email, password, nil)
		require.NoError(t, err, name)
		require.Equal(t, http.StatusOK, w.Code, name)
		require.Equal(t, tc.want, me(a, sessionCookie(t, w)), name)
	}
}

// versioned is an embedder's users with their own version.
type versioned struct{ now string }

func (v *versioned) Authenticate(context.Context, string, string) (auth.User, error) {
	return auth.User{ID: "7", Version: v.now}, nil
}

func (v *versioned) User(context.Context, string) (auth.User, error) {
	return auth.User{ID: "7", Version: v.now}, nil
}

func TestCurrent_ForeignVersions(t *testing.T) {
	t.Parallel()
	users := &versioned{}
	a := newAuth(t, testdb.New(t), auth.Options{Users: users})
	none := sessionCookie(t, login(a, "u@example.com", "x", nil))
	users.now = "2026-12-01"
	w := login(a, "u@example.com", "x", nil)
	require.NotContains(t, w.Body.String(), users.now)
	one := sessionCookie(t, w)
	started := start(t, a, "7")
	guarded := a.RequireAPI(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		u, _ := auth.UserFrom(r.Context())
		require.Equal(t, auth.User{ID: "7"}, u, "the version is not passed on")
	}))
	for _, cookie := range []*http.Cookie{none, one, started} {
		require.Equal(t, http.StatusOK, send(guarded, http.MethodGet, "/", "", cookie).Code)
	}
	for _, version := range []string{"2026-12-02", ""} {
		users.now = version
		require.Equal(t, http.StatusUnauthorized, me(a, one))
		require.Equal(t, http.StatusOK, me(a, none), "begun without one")
		require.Equal(t, http.StatusOK, me(a, started), "begun by no login")
	}
}

// Under a stricter default concurrent statements are refused with 40001.
func TestAuth_StricterDefaultIsolation(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"repeatable read", "serializable"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			url := testdb.URL(t)
			exec(t, testdb.Open(t, testdb.PQ, url), `DO $$ BEGIN
				EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = %L', current_database(), '`+level+
				`');
			END $$`)
			a := newAuth(t, testdb.Open(t, testdb.PQ, url), auth.Options{})
			var wg sync.WaitGroup
			errs := make(chan error, 8*40*3)
			for range 8 {
				wg.Go(func() {
					for range 40 {
						w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil)
						errs <- a.Start(t.Context(), w, r, "ada")
						_, err := a.EndAll(t.Context(), "ada")
						errs <- err
						_, err = a.DeleteExpired(t.Context())
						errs <- err
					}
				})
			}
			wg.Wait()
			close(errs)
			for err := range errs {
				require.NoError(t, err)
			}

			limits := auth.LoginLimits{AccountFromNetwork: slow(4), Account: slow(6)}
			var tried atomic.Int32
			for range 8 {
				other := limited(t, testdb.Open(t, testdb.PQ, url), limits)
				wg.Go(func() {
					for range 4 {
						switch code := attempt(other, "n", "ada@example.com", "wrong").Code; code {
						case http.StatusUnauthorized:
							tried.Add(1)
						case http.StatusTooManyRequests:
						default:
							t.Errorf("answered %d", code)
						}
					}
				})
			}
			wg.Wait()
			require.EqualValues(t, 10, tried.Load(), "the budget is exact")
		})
	}
}

func TestCookie_Attributes(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	for _, tc := range []struct {
		opts auth.CookieOptions
		name string
		rest string
	}{
		{auth.CookieOptions{}, "__Host-booking_session", "; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{auth.CookieOptions{SameSite: http.SameSiteDefaultMode}, "__Host-booking_session",
			"; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{auth.CookieOptions{SameSite: http.SameSiteStrictMode}, "__Host-booking_session",
			"; Path=/; HttpOnly; Secure; SameSite=Strict"},
		{auth.CookieOptions{SameSite: http.SameSiteNoneMode}, "__Host-booking_session",
			"; Path=/; HttpOnly; Secure; SameSite=None"},
		{auth.CookieOptions{Insecure: true}, "booking_session", "; Path=/; HttpOnly; SameSite=Lax"},
		{auth.CookieOptions{Domain: "example.com"}, "booking_session",
			"; Path=/; Domain=example.com; HttpOnly; Secure; SameSite=Lax"},
	} {
		a := newAuth(t, db, auth.Options{Cookie: tc.opts, Users: foreign{"7": {ID: "7"}}})
		w := httptest.NewRecorder()
		require.NoError(t, a.Start(t.Context(), w, httptest.NewRequest(http.MethodGet, "/", nil), "7"))
		cookie := sessionCookie(t, w)
		require.Equal(t, tc.name+"="+cookie.Value+tc.rest, w.Header().Get("Set-Cookie"))
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		require.Equal(t, http.StatusOK, me(a, cookie))
	}
}
