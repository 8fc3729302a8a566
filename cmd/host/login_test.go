package main_test

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
)

// Page and API share the limits, on all replicas. If a stranger uses them up, other
// networks and known browsers can still log in.
func TestLogin_Limits(t *testing.T) {
	t.Parallel()
	database := testdb.URL(t)
	env := map[string]string{"DATABASE_URL": database, "TRUST_PROXY": "1", "SESSION_SECRET": newSecret}
	here, there := startHost(t, env), startHost(t, env)
	const office, home = "203.0.113.7", "198.51.100.9"
	browser := here.client()
	right := m{"email": adminEmail, "password": adminPassword}
	require.Equal(t, http.StatusOK, browser.post("/auth/login", right, "X-Forwarded-For", office).status)

	page := func(h *running, email, from string) answer {
		body := url.Values{"email": {email}, "password": {"wrong horse battery"}}.Encode()
		return h.client().do(http.MethodPost, "/login", "application/x-www-form-urlencoded", strings.NewReader(body),
			"X-Forwarded-For", from)
	}
	for _, email := range []string{adminEmail, "unknown@example.com"} {
		want := map[string]int{adminEmail: 24, "unknown@example.com": 25}[email] // One is the login above.
		statuses := make([]int, 40)
		var wg sync.WaitGroup
		for n := range statuses {
			h := []*running{here, there}[n%2]
			wg.Go(func() {
				if n%4 < 2 {
					statuses[n] = page(h, email, office).status
				} else {
					statuses[n] = h.client().post("/auth/login", m{"email": email, "password": "wrong horse battery"},
						"X-Forwarded-For", office).status
				}
			})
		}
		wg.Wait()
		tried := map[int]int{}
		for _, status := range statuses {
			tried[status]++
		}
		// A busy machine may answer 503, because the number of concurrent hashes is
		// limited.
		passed := tried[http.StatusUnauthorized] + tried[http.StatusServiceUnavailable]
		require.Equal(t, 40, passed+tried[http.StatusTooManyRequests], "%v", tried)
		require.InDelta(t, want, passed, 1, "one may have been given back meanwhile")
		require.InDelta(t, 40-want, tried[http.StatusTooManyRequests], 1)

		a := page(there, email, office)
		require.Equal(t, http.StatusTooManyRequests, a.status)
		seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
		require.NoError(t, err)
		require.InDelta(t, 30, seconds, 30)
		require.Contains(t, a.body,
			fmt.Sprintf("There were too many attempts to log in. Please try again in %d seconds.", seconds))
		require.Contains(t, a.body, `value="`+email+`"`, "what was typed is kept")
		require.NotContains(t, a.body, "wrong horse")
		require.Equal(t, "no-store", a.header.Get("Cache-Control"))

		a = here.client().post("/auth/login", m{"email": email, "password": adminPassword}, "X-Forwarded-For", office)
		require.Equal(t, http.StatusTooManyRequests, a.status)
		require.NotEmpty(t, a.header.Get("Retry-After"))
		code, fields := a.code(t)
		require.Equal(t, "too_many_logins", code)
		require.Empty(t, fields)
	}
	require.Equal(t, http.StatusOK, there.client().post("/auth/login", right, "X-Forwarded-For", home).status,
		"from elsewhere")
	require.Equal(t, http.StatusOK, browser.post("/auth/login", right, "X-Forwarded-For", office).status,
		"where it has logged in before")
	// Cookies are sent to the other replica, too: a jar ignores ports.
	require.Equal(t, http.StatusOK, (&client{there, browser.http}).get("/auth/me", "X-Forwarded-For", office).status)
}

func TestLogin_SessionsSurviveSecretRotation(t *testing.T) {
	t.Parallel()
	database := testdb.URL(t)
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	with := func(secrets string) *client {
		c := startHost(t, map[string]string{"DATABASE_URL": database, "SESSION_SECRET": secrets}).client()
		c.http.Jar = jar
		return c
	}
	old := with(oldSecret)
	require.Equal(t, http.StatusOK, old.post("/auth/login", m{"email": adminEmail, "password": adminPassword}).status)
	require.Equal(t, http.StatusOK, with(newSecret+","+oldSecret).get("/auth/me").status)
	require.Equal(t, http.StatusUnauthorized, with(newSecret).get("/auth/me").status)
}
