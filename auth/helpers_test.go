package auth_test

import (
	"context"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

const (
	secret   = "0123456789abcdef0123456789abcdef"
	secret2  = "another secret of thirty-two bytes"
	password = "correct horse battery"
)

// quickRefusal is for tests that do not measure a refusal.
var quickRefusal = auth.UsersOptions{RefusalTime: time.Millisecond}

// One hash for all tests: each costs 45 ms.
var passwordHash = sync.OnceValues(func() (string, error) { return auth.Hash(password) })

func newAuth(t *testing.T, db *sql.DB, opts auth.Options) *auth.Auth {
	t.Helper()
	a, err := auth.New(db, []string{secret}, opts)
	require.NoError(t, err)
	return a
}

func addUser(t *testing.T, db *sql.DB, email, role string) auth.User {
	t.Helper()
	hash, err := passwordHash()
	require.NoError(t, err)
	id, err := uuid.NewV7()
	require.NoError(t, err)
	exec(t, db, `INSERT INTO booking_platform.users (id, email, password_hash, role)
		VALUES ($1::uuid, $2::text, $3::text, $4::text)`,
		id.String(), email, hash, role)
	return auth.User{ID: id.String(), Email: email, Role: role}
}

func exec(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), query, args...)
	require.NoError(t, err)
}

func count(t *testing.T, db *sql.DB, query string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), query, args...).Scan(&n))
	return n
}

func start(t *testing.T, a *auth.Auth, userID string) *http.Cookie {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	require.NoError(t, a.Start(t.Context(), w, r, userID))
	return sessionCookie(t, w)
}

func sessionCookie(t *testing.T, w *httptest.ResponseRecorder) *http.Cookie {
	t.Helper()
	return namedCookie(t, w, "booking_session")
}

func namedCookie(t *testing.T, w *httptest.ResponseRecorder, name string) *http.Cookie {
	t.Helper()
	var found []*http.Cookie
	for _, c := range w.Result().Cookies() {
		if strings.TrimPrefix(c.Name, "__Host-") == name {
			found = append(found, c)
		}
	}
	require.Len(t, found, 1)
	return found[0]
}

// send sends one request; cookie may be nil. With a body it is JSON.
func send(h http.Handler, method, target, body string, cookie *http.Cookie) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if cookie != nil {
		r.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func me(a *auth.Auth, cookie *http.Cookie) int {
	return send(a.MeHandler(), http.MethodGet, "/auth/me", "", cookie).Code
}

func login(a *auth.Auth, email, password string, cookie *http.Cookie) *httptest.ResponseRecorder {
	return send(a.LoginHandler(), http.MethodPost, "/auth/login", `{"email":"`+email+`","password":"`+password+`"}`,
		cookie)
}

// foreign is an embedder's own users, by id.
type foreign map[string]auth.User

func (f foreign) Authenticate(_ context.Context, email, given string) (auth.User, error) {
	for _, u := range f {
		if u.Email == email && given == password {
			return u, nil
		}
	}
	return auth.User{}, auth.ErrCredentials
}

func (f foreign) User(_ context.Context, id string) (auth.User, error) {
	if u, ok := f[id]; ok {
		return u, nil
	}
	return auth.User{}, auth.ErrNotFound
}
