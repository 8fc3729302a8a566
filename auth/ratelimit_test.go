package auth_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// slow does not refill during a test.
func slow(burst int) auth.Rate { return auth.Rate{Burst: burst, Every: time.Hour} }

var ada = foreign{"7": {ID: "7", Email: "ada@example.com", Role: "OPS"}}

// limited takes the network from a header, and hashes nothing.
func limited(t *testing.T, db *sql.DB, limits auth.LoginLimits) *auth.Auth {
	t.Helper()
	return newAuth(t, db, auth.Options{Users: ada, Limits: limits, ClientAddress: network})
}

func network(r *http.Request) string { return r.Header.Get("X-Network") }

func attempt(a *auth.Auth, network, email, password string, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	body, _ := json.Marshal(map[string]string{"email": email, "password": password})
	r := httptest.NewRequest(http.MethodPost, "/auth/login", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Network", network)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	a.LoginHandler().ServeHTTP(w, r)
	return w
}

// allowed returns how many attempts with a wrong password are not limited.
func allowed(t *testing.T, a *auth.Auth, network, email string, cookies ...*http.Cookie) (n int) {
	t.Helper()
	for ; n < 1000; n++ {
		switch w := attempt(a, network, email, "wrong", cookies...); w.Code {
		case http.StatusUnauthorized:
		case http.StatusTooManyRequests:
			return n
		default:
			t.Fatalf("answered %d", w.Code)
		}
	}
	return n
}

// Replicas share only the database, and a budget may have no row yet.
func TestLoginLimits_ExactOverReplicas(t *testing.T) {
	t.Parallel()
	url := testdb.URL(t)
	for name, tc := range map[string]struct {
		limits  auth.LoginLimits
		email   func(n int) string
		network func(n int) string
		want    int
	}{
		"own, then shared": {auth.LoginLimits{AccountFromNetwork: slow(4), Account: slow(5)},
			func(int) string { return "a@example.com" }, func(int) string { return "n1" }, 9},
		"shared": {auth.LoginLimits{AccountFromNetwork: slow(1), Account: slow(7)},
			func(int) string { return "b@example.com" },
			func(n int) string { return fmt.Sprintf("many %d", n%4) }, 4 + 7},
		"network": {auth.LoginLimits{Network: slow(10)},
			func(n int) string { return fmt.Sprintf("c%d@example.com", n) }, func(int) string { return "n2" }, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here, there := limited(t, testdb.Open(t, testdb.PQ, url), tc.limits),
				limited(t, testdb.Open(t, testdb.PQ, url), tc.limits)
			codes := make([]int, 60)
			var wg sync.WaitGroup
			for n := range codes {
				a := []*auth.Auth{here, there}[n/4%2]
				wg.Go(func() { codes[n] = attempt(a, tc.network(n), tc.email(n), "wrong").Code })
			}
			wg.Wait()
			got := map[int]int{}
			for _, code := range codes {
				got[code]++
			}
			require.Equal(t, map[int]int{http.StatusUnauthorized: tc.want,
				http.StatusTooManyRequests: len(codes) - tc.want}, got)
		})
	}
}

func TestLoginLimits_Defaults(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a := limited(t, db, auth.LoginLimits{})
	require.Equal(t, 25, allowed(t, a, "n", "ada@example.com"), "its own five, and twenty that are shared")
	require.Equal(t, 5, allowed(t, a, "m", "ada@example.com"))
	require.Equal(t, 25, allowed(t, a, "n", "unknown@example.com"))
	require.Equal(t, 25, allowed(t, a, "n", " NoOne2@example.com "))
	require.Zero(t, allowed(t, a, "n", "noone2@EXAMPLE.com"), "one address, however it is written")
	off := limited(t, db, auth.LoginLimits{Off: true})
	for range 30 {
		require.Equal(t, http.StatusUnauthorized, attempt(off, "n", "ada@example.com", "wrong").Code)
	}
	w := attempt(off, "n", "ada@example.com", password)
	require.Equal(t, http.StatusOK, w.Code)
	require.Len(t, w.Result().Cookies(), 1, "no cookie without limits")
}

// The attacker guesses from anywhere, as often as the limits allow.
func TestLoginLimits_AttackerCannotLockOutKnownBrowser(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	limits := auth.LoginLimits{AccountFromNetwork: slow(3), Account: slow(5), Network: slow(40), KnownBrowser: slow(4)}
	a := limited(t, db, limits)
	known := namedCookie(t, attempt(a, "office", "ada@example.com", password), "booking_device")

	for n := range 10 {
		allowed(t, a, fmt.Sprintf("botnet %d", n), "ada@example.com")
	}
	require.Zero(t, allowed(t, a, "botnet 0", "ada@example.com"))
	require.Equal(t, http.StatusOK, attempt(a, "home", "ada@example.com", password).Code,
		"from another network, from a new browser")

	// On the network of the user, until its budgets are empty.
	allowed(t, a, "office", "ada@example.com")
	for n := 0; attempt(a, "office", fmt.Sprintf("x%d@example.com", n), "wrong").Code == http.StatusUnauthorized; n++ {
		require.Less(t, n, 100)
	}
	require.Equal(t, http.StatusTooManyRequests, attempt(a, "office", "ada@example.com", password).Code,
		"a browser that is new: this is what remains")
	w := attempt(a, "office", "ada@example.com", password, known)
	require.Equal(t, http.StatusOK, w.Code, "one that has logged in before")
	require.Equal(t, http.StatusOK, attempt(a, "café", "ada@example.com", password, known).Code, "wherever it is")
}

// Unknown, wrong and inactive: equal bytes, and no password is hashed.
func TestLogin_LimitedResponsesAreEqual(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	users, err := auth.NewUsers(db, auth.UsersOptions{RefusalTime: time.Millisecond})
	require.NoError(t, err)
	a := newAuth(t, db, auth.Options{Users: users, ClientAddress: network,
		Limits: auth.LoginLimits{AccountFromNetwork: slow(1), Account: slow(1)}})
	addUser(t, db, "known@example.com", "OPS")
	addUser(t, db, "inactive@example.com", "OPS")
	exec(t, db, `UPDATE booking_platform.users SET active = false WHERE email = 'inactive@example.com'`)
	hashed := auth.CountComparisons(users)
	emails := []string{"known@example.com", "unknown@example.com", "inactive@example.com"}
	var first string
	for _, email := range emails {
		require.Equal(t, 2, allowed(t, a, "n", email), email)
	}
	require.EqualValues(t, 6, hashed.Load())
	// Further ahead than a budget can be: they stay empty however slow this test is.
	exec(t, db, `UPDATE booking_platform.rate_limits SET full_at = full_at + interval '1 day'
		WHERE full_at < statement_timestamp() + interval '1 hour 1 minute'`)
	for _, email := range emails {
		for _, given := range []string{"wrong", password} {
			w := attempt(a, "n", email, given)
			var dump bytes.Buffer
			require.NoError(t, w.Result().Write(&dump))
			if first == "" {
				first = dump.String()
			}
			require.Equal(t, first, dump.String(), email)
		}
	}
	require.Contains(t, first, "HTTP/1.1 429 ")
	require.Contains(t, first, `{"error":"too_many_logins"}`)
	require.Contains(t, first, "Retry-After: 3600\r\n")
	require.Contains(t, first, "Cache-Control: no-store\r\n")
}

// The rows' times are moved. The next attempt is allowed after Retry-After, not long
// before.
func TestLoginLimits_RetryAfter(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string]auth.LoginLimits{
		"own": {AccountFromNetwork: auth.Rate{Burst: 2, Every: 100 * time.Second},
			Account: auth.Rate{Burst: 1, Every: time.Hour}},
		"shared": {AccountFromNetwork: auth.Rate{Burst: 2, Every: time.Hour},
			Account: auth.Rate{Burst: 1, Every: 100 * time.Second}},
		"network": {Network: auth.Rate{Burst: 3, Every: 100 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			a := limited(t, db, limits)
			require.Equal(t, 3, allowed(t, a, "n", "ada@example.com"))
			w := attempt(a, "n", "ada@example.com", password)
			require.Equal(t, http.StatusTooManyRequests, w.Code)
			seconds, err := strconv.Atoi(w.Header().Get("Retry-After"))
			require.NoError(t, err)
			require.Greater(t, seconds, 50, "a hundred, less what the test took")
			require.LessOrEqual(t, seconds, 100)
			pass := func(seconds int) {
				exec(t, db,
					`UPDATE booking_platform.rate_limits SET full_at = full_at - make_interval(secs => $1::float8)`,
					seconds)
			}
			pass(seconds - 40)
			require.Equal(t, http.StatusTooManyRequests, attempt(a, "n", "ada@example.com", password).Code)
			pass(40)
			require.Equal(t, http.StatusOK, attempt(a, "n", "ada@example.com", password).Code)
			require.Equal(t, http.StatusTooManyRequests, attempt(a, "n", "ada@example.com", password).Code,
				"one, and no more")
		})
	}
}

// After the clock was set back or the rate was changed.
func TestLoginLimits_WaitIsBounded(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a := limited(t, db, auth.LoginLimits{})
	allowed(t, a, "n", "ada@example.com")
	exec(t, db, `UPDATE booking_platform.rate_limits SET full_at = full_at + interval '10 years'`)
	require.Equal(t, "60", attempt(a, "n", "ada@example.com", password).Header().Get("Retry-After"))
}

func TestLoginLimits_RefusedAttemptTakesNothing(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a := limited(t, db, auth.LoginLimits{AccountFromNetwork: slow(2), Account: slow(2), Network: slow(6)})
	state := func() (s string) {
		require.NoError(t,
			db.QueryRow(`SELECT string_agg(encode(key, 'hex') || full_at, ' ' ORDER BY key)
				FROM booking_platform.rate_limits`).Scan(&s))
		return s
	}
	require.Equal(t, 4, allowed(t, a, "n", "ada@example.com"))
	before := state()
	require.Zero(t, allowed(t, a, "n", "ada@example.com"))
	require.Equal(t, before, state(), "the network's budget is for the others there")
	require.Equal(t, http.StatusUnauthorized, attempt(a, "n", "bob@example.com", "wrong").Code)
	require.Equal(t, http.StatusUnauthorized, attempt(a, "n", "bob@example.com", "wrong").Code)
	before = state()
	require.Zero(t, allowed(t, a, "n", "eve@example.com"), "nothing is left of the network's")
	require.Equal(t, before, state())
	require.Equal(t, 4, allowed(t, a, "m", "eve@example.com"), "and what eve's account has is whole")
	before = state()
	require.Equal(t, http.StatusBadRequest, attempt(a, "z", "", "").Code)
	require.Equal(t, before, state(), "what cannot be a login is none")
}

// The keys depend on the secret, and contain neither accounts nor addresses.
func TestLoginLimits_KeysAreHMACs(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	attempt(limited(t, db, auth.LoginLimits{}), "198.51.100.7", "ada@example.com", "wrong")
	require.Equal(t, 2, count(t, db, `SELECT count(*) FROM booking_platform.rate_limits WHERE octet_length(key) = 32`))
	other, err := auth.New(db, []string{secret2}, auth.Options{Users: ada, ClientAddress: network})
	require.NoError(t, err)
	attempt(other, "198.51.100.7", "ada@example.com", "wrong")
	require.Equal(t, 4, count(t, db, `SELECT count(*) FROM booking_platform.rate_limits WHERE octet_length(key) = 32`))
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM pg_class
		WHERE oid = 'booking_platform.rate_limits'::regclass AND relpersistence = 'u'`))
}

// The default for an IPv6 address is its /64.
func TestLoginLimits_DefaultClientAddress(t *testing.T) {
	t.Parallel()
	a := newAuth(t, testdb.New(t), auth.Options{Users: ada, Limits: auth.LoginLimits{Network: slow(1)}})
	from := func(remote string) int {
		r := httptest.NewRequest(http.MethodPost, "/auth/login",
			strings.NewReader(`{"email":"ada@example.com","password":"wrong"}`))
		r.Header.Set("Content-Type", "application/json")
		r.RemoteAddr = remote
		w := httptest.NewRecorder()
		a.LoginHandler().ServeHTTP(w, r)
		return w.Code
	}
	for _, tc := range []struct {
		remote string
		want   int
	}{
		{"192.0.2.1:1", 401}, {"192.0.2.1:2", 429}, {"[::ffff:192.0.2.1]:3", 429}, {"192.0.2.2:1", 401},
		{"[64:ff9b::192.0.2.3]:1", 401}, {"192.0.2.3:1", 429},
		{"[2001:db8::1]:1", 401}, {"[2001:db8::2:1%eth0]:1", 429}, {"[2001:db8:0:1::1]:1", 401}, {"@", 401}, {"@", 429},
	} {
		require.Equal(t, tc.want, from(tc.remote), tc.remote)
	}
}
