package auth_test

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/stretchr/testify/require"
)

var greet = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	user, ok := auth.UserFrom(r.Context())
	if !ok {
		panic("reached without a user")
	}
	w.Header().Set("X-Role", user.Role)
})

func TestRequireAPI_Session(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	var seen []auth.User
	a := newAuth(t, db, auth.Options{OnUser: func(_ context.Context, user auth.User) { seen = append(seen, user) }})
	user := addUser(t, db, "u@example.com", "OPS")
	cookie := start(t, a, user.ID)

	known := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.Len(t, seen, 1, "told before the handler runs")
		greet(w, r)
	})
	w := send(a.RequireAPI(known), http.MethodGet, "/api/bookings", "", cookie)
	require.Equal(t, "OPS", w.Header().Get("X-Role"))
	require.Len(t, seen, 1)
	require.Equal(t, user.ID, seen[0].ID)
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))

	unknown := &http.Cookie{Name: cookie.Name, Value: strings.Repeat("A", 43)}
	renamed := &http.Cookie{Name: "booking_session", Value: cookie.Value}
	for _, c := range []*http.Cookie{nil, unknown, renamed, {Name: cookie.Name, Value: "' OR 1=1"},
		{Name: cookie.Name, Value: cookie.Value + "AA"}} {
		r := httptest.NewRequest(http.MethodGet, "/api/bookings", nil)
		r.Header.Set("Accept", "text/html")
		if c != nil {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		a.RequireAPI(greet).ServeHTTP(w, r)
		require.Equal(t, http.StatusUnauthorized, w.Code)
		require.JSONEq(t, `{"error":"unauthorized"}`, w.Body.String())
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	}
	require.Len(t, seen, 1, "called for no other user")

	// OnUser is also called for a user that RequireRole refuses.
	require.Equal(t, http.StatusForbidden,
		send(a.RequireAPI(a.RequireRole("ADMIN")(greet)), http.MethodGet, "/", "", cookie).Code)
	require.Len(t, seen, 2)
	require.Equal(t, user.ID, seen[1].ID)
}

func TestRequirePage_Redirects(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a := newAuth(t, db, auth.Options{})
	for _, tc := range []struct{ method, target, want string }{
		{"GET", "/dashboard", "/login?next=/dashboard"},
		{"HEAD", "/dashboard", "/login?next=/dashboard"},
		{"GET", "/dashboard?day=2026-12-01&q=a%20b", "/login?next=/dashboard%3Fday%3D2026-12-01%26q%3Da%2520b"},
		{"GET", "/a%2Fb", "/login?next=/a%252Fb"},
		{"GET", "http://evil.example/dashboard", "/login?next=/dashboard"},
		{"GET", "//evil.example/x", "/login?next=/"},
		{"GET", "/%2f%2fevil.example", "/login?next=/"},
		{"POST", "/dashboard", "/login"},
	} {
		w := send(a.RequirePage(greet), tc.method, tc.target, "", nil)
		require.Equal(t, http.StatusFound, w.Code, tc.target)
		require.Equal(t, tc.want, w.Header().Get("Location"), "%s %s", tc.method, tc.target)
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	}
	cookie := start(t, a, addUser(t, db, "u@example.com", "OPS").ID)
	require.Equal(t, "OPS", send(a.RequirePage(greet), http.MethodGet, "/dashboard", "", cookie).Header().Get("X-Role"))

	elsewhere := newAuth(t, db, auth.Options{LoginPath: "/staff/login"})
	mounted := http.StripPrefix("/staff", elsewhere.RequirePage(greet))
	require.Equal(t, "/staff/login?next=/staff/orders%3Fp%3D2",
		send(mounted, http.MethodGet, "/staff/orders?p=2", "", nil).Header().Get("Location"),
		"the way back has the prefix that the handler does not see")
}

func TestRequireRole_Roles(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a := newAuth(t, db, auth.Options{})
	guarded := a.RequireAPI(a.RequireRole(auth.RoleAdmin, auth.RoleOps)(greet))
	for i, tc := range []struct {
		role string
		want int
	}{{"ADMIN", 200}, {"OPS", 200}, {"READONLY", 403}, {"admin", 403}, {"ADMINISTRATOR", 403}} {
		cookie := start(t, a, addUser(t, db, fmt.Sprintf("u%d@example.com", i), tc.role).ID)
		w := send(guarded, http.MethodGet, "/admin/metrics", "", cookie)
		require.Equal(t, tc.want, w.Code, tc.role)
		if tc.want == http.StatusForbidden {
			require.JSONEq(t, `{"error":"forbidden"}`, w.Body.String())
		}
	}
	require.Equal(t, http.StatusUnauthorized, send(guarded, http.MethodGet, "/", "", nil).Code)
	require.Equal(t, http.StatusUnauthorized, send(a.RequireRole("ADMIN")(greet), http.MethodGet, "/", "", nil).Code,
		"the outer guard was forgotten")
	cookie := start(t, a, addUser(t, db, "x@example.com", "ADMIN").ID)
	require.Equal(t, http.StatusForbidden,
		send(a.RequireAPI(a.RequireRole()(greet)), http.MethodGet, "/", "", cookie).Code, "no roles")
}

func TestRequireRole_RoleChangeTakesEffectAtOnce(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a := newAuth(t, db, auth.Options{})
	cookie := start(t, a, addUser(t, db, "u@example.com", "ADMIN").ID)
	guarded := a.RequireAPI(a.RequireRole("ADMIN")(greet))
	require.Equal(t, http.StatusOK, send(guarded, http.MethodGet, "/", "", cookie).Code)
	exec(t, db, `UPDATE booking_platform.users SET role = 'READONLY'`)
	require.Equal(t, http.StatusForbidden, send(guarded, http.MethodGet, "/", "", cookie).Code)
}

func TestRequireAPI_ForeignUsers(t *testing.T) {
	t.Parallel()
	users := foreign{"7": {ID: "7", Email: "u@example.com", Role: "warehouse"}}
	a := newAuth(t, testdb.New(t), auth.Options{Users: users})
	cookie := start(t, a, "7")
	require.Equal(t, http.StatusOK, send(a.RequireAPI(a.RequireRole("warehouse")(greet)), http.MethodGet, "/", "",
		cookie).Code)
	require.Equal(t, http.StatusOK, login(a, "u@example.com", password, nil).Code)
	require.Equal(t, http.StatusUnauthorized, login(a, "u@example.com", "wrong", nil).Code)
	delete(users, "7")
	require.Equal(t, http.StatusUnauthorized, me(a, cookie))
	require.Error(t, a.Start(t.Context(), httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), ""))
}

// Not a 401, which would log all users out; no details; no endless wait.
func TestRequireAPI_DatabaseDown(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // Accepts and never answers.
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	// pgx, because lib/pq ignores the context while it connects.
	hanging := testdb.Open(t, "pgx", "postgres://u:geheim@"+silent.Addr().String()+"/x?sslmode=disable")
	closed := testdb.New(t)
	cookie := start(t, newAuth(t, closed, auth.Options{}), "7")
	require.NoError(t, closed.Close())

	for name, db := range map[string]*sql.DB{"hangs": hanging, "gone": closed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAuth(t, db, auth.Options{Timeout: 100 * time.Millisecond})
			for route, h := range map[string]http.Handler{"api": a.RequireAPI(greet), "page": a.RequirePage(greet),
				"me": a.MeHandler()} {
				requireUnavailable(t, send(h, http.MethodGet, "/", "", cookie), route)
			}
			requireUnavailable(t, login(a, "u@example.com", password, nil), "login")
			requireUnavailable(t, send(a.LogoutHandler(), http.MethodPost, "/", "", cookie), "logout")
			require.Equal(t, http.StatusUnauthorized, me(a, nil), "without a cookie there is nothing to ask")
		})
	}
}

// busy are users that always fail with ErrBusy.
type busy struct{ foreign }

func (busy) Authenticate(context.Context, string, string) (auth.User, error) {
	return auth.User{}, fmt.Errorf("compare: %w", auth.ErrBusy)
}

func TestLogin_Busy(t *testing.T) {
	t.Parallel()
	w := login(newAuth(t, testdb.New(t), auth.Options{Users: busy{}}), "u@example.com", password, nil)
	requireUnavailable(t, w, "login")
	require.Equal(t, "5", w.Header().Get("Retry-After"))
}

func requireUnavailable(t *testing.T, w *httptest.ResponseRecorder, route string) {
	t.Helper()
	require.Equal(t, http.StatusServiceUnavailable, w.Code, route)
	require.NotEmpty(t, w.Header().Get("Retry-After"), route)
	require.JSONEq(t, `{"error":"unavailable"}`, w.Body.String(), route)
	require.Empty(t, w.Header().Values("Set-Cookie"), "%s: the cookie stays, to try again with", route)
}

func TestWriteError_Option(t *testing.T) {
	t.Parallel()
	a := newAuth(t, testdb.New(t), auth.Options{Users: foreign{},
		WriteError: func(w http.ResponseWriter, r *http.Request, status int, code string, fields map[string]string) {
			w.Header().Set("X-Error", code+" "+r.URL.Path+" "+fields["password"])
			w.WriteHeader(status)
		}})
	w := send(a.RequireAPI(greet), http.MethodGet, "/x", "", nil)
	require.Equal(t, http.StatusUnauthorized, w.Code)
	require.Equal(t, "unauthorized /x ", w.Header().Get("X-Error"))
	w = send(a.LoginHandler(), http.MethodPost, "/y", `{"email":"u@example.com"}`, nil)
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Equal(t, "validation_failed /y must not be empty", w.Header().Get("X-Error"))
}

func TestSafeNext_Paths(t *testing.T) {
	t.Parallel()
	for _, local := range []string{
		"/", "/dashboard", "/dashboard?day=2026-12-01&q=a%20b#top", "/a/b/", "/a//b", "/a%2Fb", "/caf%C3%A9", "/@user",
		"/a:b", "/?u=https://x.example//y", "/...",
	} {
		require.Equal(t, local, auth.SafeNext(local))
	}
	for _, away := range []string{
		"", "dashboard", "?x", "#x", "//", "//?x", "//#x", "//x", "///x", "/\\x", "\\/x", "\\\\x", "/\\/x", "%2f%2fx",
		"/%2fx", "/%2F%2Fx", "/%5cx", "/%5C%5Cx", "/a\\b", "/a%5cb",
		"/\tx", "/\t/x", "/\n/x", "/\r\n/x", "\t//x", " //x", "/ /x", "/x\x00", "/%0d%0aSet-Cookie:x", "/%00", "/x\x7f",
		"/\u00a0/x", "/\uff0f/x",
		"javascript:alert(1)", "JAVASCRIPT:alert(1)", "data:text/html,x", "https://x.example", "http:x.example",
		"https:/x.example", "//x.example@y", "mailto:x@y.example",
		"/.//x", "/..//x", "/a/../..//x", "/%2e%2e//x", "/./x", "/%zz", "/" + strings.Repeat("a", 2048),
	} {
		require.Equal(t, "/", auth.SafeNext(away), "%q", away)
	}
}

// A browser, more lenient than any parser, follows the result: it must stay on this host.
func FuzzSafeNext(f *testing.F) {
	for _, seed := range []string{"/dashboard?x=1", "//x", "/\\x", "%2f%2fx", "/%2f/x", "/\t/x", "javascript:alert(1)",
		"https://x.example/", "/.//x", "/%5c/x", "/a/..//x", "//"} {
		f.Add(seed)
	}
	base, err := url.Parse("https://host.example/login")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, next string) {
		got := auth.SafeNext(next)
		require.True(t, got == next || got == "/")
		decoded, err := url.PathUnescape(got)
		for _, form := range []string{got, decoded} {
			if err != nil && form == decoded {
				continue // The query may hold a lone percent sign.
			}
			path, _, _ := strings.Cut(form, "?")
			path = strings.ReplaceAll(path, "\\", "/")
			require.True(t, strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//"), "%q", form)
		}
		require.False(t, strings.ContainsFunc(got, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '\\' }),
			"%q", got)
		target, err := base.Parse(got)
		require.NoError(t, err)
		require.Equal(t, "https", target.Scheme)
		require.Equal(t, "host.example", target.Host)
		require.False(t, strings.HasPrefix(target.Path, "//"), "%q", got)

		w := httptest.NewRecorder()
		http.Redirect(w, httptest.NewRequest(http.MethodGet, "/login", nil), got, http.StatusSeeOther)
		require.False(t, strings.HasPrefix(w.Header().Get("Location"), "//"), "%q", w.Header().Get("Location"))
	})
}
