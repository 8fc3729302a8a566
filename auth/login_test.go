package auth_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/stretchr/testify/require"
)

func TestLogin_StartsSession(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a := newAuth(t, db, auth.Options{})
	user := addUser(t, db, "ops@example.com", "OPS")

	w := login(a, "  OPS@Example.COM ", password, nil)
	require.Equal(t, http.StatusOK, w.Code)
	require.JSONEq(t, `{"user":{"id":"`+user.ID+`","email":"ops@example.com","role":"OPS"}}`, w.Body.String())
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))

	w = send(a.MeHandler(), http.MethodGet, "/auth/me", "", sessionCookie(t, w))
	require.Equal(t, http.StatusOK, w.Code)
	require.JSONEq(t, `{"user":{"id":"`+user.ID+`","email":"ops@example.com","role":"OPS"}}`, w.Body.String())
}

// Unknown, wrong and inactive: equal bytes, and equal work.
func TestLogin_RefusalsAreEqual(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	users, err := auth.NewUsers(db, quickRefusal)
	require.NoError(t, err)
	a := newAuth(t, db, auth.Options{Users: users})
	addUser(t, db, "known@example.com", "OPS")
	addUser(t, db, "inactive@example.com", "OPS")
	addUser(t, db, "sso-only@example.com", "OPS")
	addUser(t, db, "odd@example.com", "OPS")
	exec(t, db, `UPDATE booking_platform.users SET active = false WHERE email = 'inactive@example.com'`)
	exec(t, db, `UPDATE booking_platform.users SET password_hash = '!' WHERE email = 'sso-only@example.com'`)
	exec(t, db, `UPDATE booking_platform.users SET password_hash = '$argon2id$v=19$m=64,t=0,p=0$c29tZXNhbHQ$a2V5'
		WHERE email = 'odd@example.com'`)
	hashed := auth.CountComparisons(users)

	var first string
	for _, tc := range []struct{ email, password string }{
		{"known@example.com", "wrong"}, {"unknown@example.com", password}, {"inactive@example.com", password},
		{"inactive@example.com", "wrong"}, {"sso-only@example.com", password}, {"odd@example.com", password},
	} {
		before := hashed.Load()
		w := login(a, tc.email, tc.password, nil)
		var dump bytes.Buffer
		require.NoError(t, w.Result().Write(&dump))
		if first == "" {
			first = dump.String()
		}
		require.Equal(t, first, dump.String(), tc.email)
		require.EqualValues(t, 1, hashed.Load()-before, "%s: hashes computed", tc.email)
		require.Equal(t, http.StatusUnauthorized, w.Code)
		require.JSONEq(t, `{"error":"invalid_credentials"}`, w.Body.String())
	}
	require.Zero(t, count(t, db, `SELECT count(*) FROM booking_platform.sessions`))
}

func TestLogin_ReplacesSession(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a := newAuth(t, db, auth.Options{})
	user := addUser(t, db, "u@example.com", "OPS")
	old := start(t, a, user.ID)

	require.Equal(t, http.StatusUnauthorized, login(a, "u@example.com", "wrong", old).Code)
	require.Equal(t, http.StatusOK, me(a, old), "a failed login ends nothing")
	w := login(a, "u@example.com", password, old)
	require.Equal(t, http.StatusOK, w.Code)
	require.NotEqual(t, old.Value, sessionCookie(t, w).Value)
	require.Equal(t, http.StatusUnauthorized, me(a, old))
	require.Equal(t, http.StatusOK, me(a, sessionCookie(t, w)))

	planted := &http.Cookie{Name: old.Name, Value: strings.Repeat("A", 43)}
	w = login(a, "u@example.com", password, planted)
	require.NotEqual(t, planted.Value, sessionCookie(t, w).Value)
	require.Equal(t, http.StatusUnauthorized, me(a, planted), "a token planted before the login")
}

func TestLogout_Repeated(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a := newAuth(t, db, auth.Options{})
	cookie := start(t, a, addUser(t, db, "u@example.com", "OPS").ID)
	garbage := &http.Cookie{Name: cookie.Name, Value: "x"}
	for _, c := range []*http.Cookie{cookie, cookie, garbage, nil} {
		w := send(a.LogoutHandler(), http.MethodPost, "/auth/logout", "", c)
		require.Equal(t, http.StatusOK, w.Code)
		require.JSONEq(t, `{"ok":true}`, w.Body.String())
		require.Equal(t, "__Host-booking_session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
			w.Header().Get("Set-Cookie"))
	}
	require.Zero(t, count(t, db, `SELECT count(*) FROM booking_platform.sessions`))
}

// M30.
func TestLogin_Bodies(t *testing.T) {
	t.Parallel()
	users := foreign{"1": {ID: "1", Email: "u@example.com", Role: "OPS"}}
	a := newAuth(t, testdb.New(t), auth.Options{Users: users})
	const invalid, wrong = `{"error":"invalid_body"}`, `{"error":"validation_failed","fields":`
	for body, want := range map[string]struct {
		status int
		json   string
	}{
		`{"email":"u@example.com","password":"correct horse battery"}`: {200,
			`{"user":{"id":"1","email":"u@example.com","role":"OPS"}}`},
		`{}`: {400,
			wrong + `{"email":"must not be empty","password":"must not be empty"}}`},
		`{"email":" ","password":"x"}`: {400, wrong + `{"email":"must not be empty"}}`},
		`{"email":null,"password":null}`: {400,
			wrong + `{"email":"must not be empty","password":"must not be empty"}}`},
		`{"email":1,"password":["x"]}`: {400,
			wrong + `{"email":"must be a string","password":"must be a string"}}`},
		`{"email":"u@example.com","password":"x","role":"ADMIN"}`: {400, wrong + `{"role":"is not known"}}`},
		`{"Email":"u@example.com","password":"x"}`:                {400, wrong + `{"Email":"is not known"}}`},
		`{"email":"u\u202e@example.com","password":"x"}`: {400,
			wrong + `{"email":"must not contain characters that hide or reorder text"}}`},
		`{"email":"u\u0000@example.com","password":"x"}`: {400,
			wrong + `{"email":"must not contain control characters"}}`},
		`{"email":"` + strings.Repeat("a", 255) + `","password":"x"}`: {400,
			wrong + `{"email":"must be at most 254 bytes"}}`},
		`{"email":"u@example.com","password":"` + strings.Repeat("p", 1025) +
			`"}`: {400, wrong + `{"password":"must be at most 1024 bytes"}}`},
		`{"email":"u@example.com","password":"` + strings.Repeat("p", 1024) +
			`"}`: {401, `{"error":"invalid_credentials"}`},
		`{"email":"u@example.com","password":"` + strings.Repeat("p", 9000) + `"}`: {413, `{"error":"body_too_large"}`},
		`{"email":"u@example.com","password":"x"} {}`:                              {400, invalid},
		`{"email":"u@example.com"`:                                                 {400, invalid},
		`["u@example.com"]`:                                                        {400, invalid},
		`null`:                                                                     {400, invalid},
		`email=u@example.com`:                                                      {400, invalid},
		strings.Repeat(`[`, 8000):                                                  {400, invalid},
	} {
		w := send(a.LoginHandler(), http.MethodPost, "/auth/login", body, nil)
		require.Equal(t, want.status, w.Code, body)
		require.JSONEq(t, want.json, w.Body.String(), body)
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
		if want.status != http.StatusOK {
			require.Empty(t, w.Header().Values("Set-Cookie"), body)
		}
	}
	require.Equal(t, http.StatusBadRequest, send(a.LoginHandler(), http.MethodPost, "/auth/login", "\xff{}", nil).Code)
}

func TestHandlers_MethodsAndMediaTypes(t *testing.T) {
	t.Parallel()
	a := newAuth(t, testdb.New(t), auth.Options{Users: foreign{}})
	for _, tc := range []struct {
		h             http.Handler
		method, allow string
	}{
		{a.LoginHandler(), http.MethodGet, "POST"}, {a.LogoutHandler(), http.MethodGet, "POST"},
		{a.MeHandler(), http.MethodPost, "GET, HEAD"},
	} {
		w := send(tc.h, tc.method, "/", "", nil)
		require.Equal(t, http.StatusMethodNotAllowed, w.Code)
		require.Equal(t, tc.allow, w.Header().Get("Allow"))
		require.JSONEq(t, `{"error":"method_not_allowed"}`, w.Body.String())
	}
	for media, want := range map[string]int{
		"": 415, "text/plain": 415, "application/x-www-form-urlencoded": 415, "multipart/form-data; boundary=x": 415,
		";":                415,
		"application/json": 401, "application/json; charset=utf-8": 401,
	} {
		r := httptest.NewRequest(http.MethodPost, "/auth/login",
			strings.NewReader(`{"email":"u@example.com","password":"x"}`))
		r.Header.Set("Content-Type", media)
		w := httptest.NewRecorder()
		a.LoginHandler().ServeHTTP(w, r)
		require.Equal(t, want, w.Code, media)
	}
}

func TestLog_NoSecrets(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	var log bytes.Buffer
	a := newAuth(t, db,
		auth.Options{Logger: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	user := addUser(t, db, "u@example.com", "OPS")
	w := login(a, "u@example.com", password, nil)
	cookie := sessionCookie(t, w)
	login(a, "typed-the-password-here", "hunter2hunter2", cookie)
	me(a, cookie)
	require.NoError(t, db.Close())
	login(a, "u@example.com", password, cookie)
	me(a, cookie)
	send(a.LogoutHandler(), http.MethodPost, "/", "", cookie)

	require.Contains(t, log.String(), user.ID, "a login is on record")
	require.Contains(t, log.String(), "session not checked")
	for _, hidden := range []string{password, cookie.Value, "hunter2", "typed-the-password-here", secret,
		"u@example.com"} {
		require.NotContains(t, log.String(), hidden)
	}
}

func TestKnownBrowser_Cookie(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	users := foreign{"7": ada["7"], "8": {ID: "8", Email: "eve@example.com"}}
	a := newAuth(t, db, auth.Options{Users: users, ClientAddress: network,
		Limits: auth.LoginLimits{AccountFromNetwork: slow(4), Account: slow(1), KnownBrowser: slow(3)}})
	w := attempt(a, "n", "ada@example.com", password)
	hers := namedCookie(t, w, "booking_device")
	require.Equal(t, "__Host-booking_device="+hers.Value+"; Path=/; Max-Age=34560000; HttpOnly; Secure; SameSite=Lax",
		hers.Raw)
	eves := namedCookie(t, attempt(a, "n", "eve@example.com", password), "booking_device")
	require.NotEqual(t, hers.Value, eves.Value)
	require.Empty(t, attempt(a, "n", " Ada@Example.com", "wrong", hers).Result().Cookies(), "a refusal sets none")

	// It is not a session.
	require.Equal(t, http.StatusUnauthorized, me(a, &http.Cookie{Name: "__Host-booking_session", Value: hers.Value}))
	require.Equal(t, http.StatusUnauthorized, me(a, hers))

	// A login keeps the number, and so the budget.
	again := namedCookie(t, attempt(a, "elsewhere", "ada@example.com", password, hers), "booking_device")
	require.Equal(t, hers.Value, again.Value)
	require.Equal(t, 1, allowed(t, a, "n", "ada@example.com", hers), "three, of which two are used")
	require.Equal(t, http.StatusTooManyRequests, attempt(a, "third", "ada@example.com", password, hers).Code)

	// Another user's, forged and truncated values do not count.
	for n, value := range []string{eves.Value, strings.Repeat("A", 64), hers.Value[:63], hers.Value + "A",
		turned(hers.Value), "", "!"} {
		from := fmt.Sprintf("fresh %d", n)
		got := allowed(t, a, from, "ada@example.com", &http.Cookie{Name: hers.Name, Value: value})
		require.GreaterOrEqual(t, got, 4, "%q: the budgets of the network count", value)
		require.Zero(t, allowed(t, a, from, "ada@example.com"))
	}
	require.Equal(t, 3, allowed(t, a, "n", "eve@example.com", eves))

	insecure := newAuth(t, db, auth.Options{Users: users, ClientAddress: network,
		Cookie: auth.CookieOptions{Insecure: true}})
	c := namedCookie(t, attempt(insecure, "new", "eve@example.com", password), "booking_device")
	require.Equal(t, "booking_device="+c.Value+"; Path=/; Max-Age=34560000; HttpOnly; SameSite=Lax", c.Raw)
}

func TestKnownBrowser_SecretRotation(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	with := func(secrets ...string) *auth.Auth {
		a, err := auth.New(db, secrets, auth.Options{Users: ada, ClientAddress: network,
			Limits: auth.LoginLimits{AccountFromNetwork: slow(1), Account: slow(1), KnownBrowser: slow(50)}})
		require.NoError(t, err)
		return a
	}
	old, both, fresh := with(secret), with(secret2, secret), with(secret2)
	signedOld := namedCookie(t, attempt(old, "n", "ada@example.com", password), "booking_device")
	allowed(t, both, "n", "ada@example.com")
	w := attempt(both, "n", "ada@example.com", password, signedOld)
	require.Equal(t, http.StatusOK, w.Code, "all secrets are accepted")
	signedNew := namedCookie(t, w, "booking_device")
	require.NotEqual(t, signedOld.Value, signedNew.Value, "the first one signs")
	require.Equal(t, http.StatusTooManyRequests, attempt(fresh, "n", "ada@example.com", password, signedOld).Code,
		"a retired one is not")
	require.Equal(t, http.StatusOK, attempt(fresh, "n", "ada@example.com", password, signedNew).Code)
}

func turned(value string) string {
	if value[0] == 'A' {
		return "B" + value[1:]
	}
	return "A" + value[1:]
}
