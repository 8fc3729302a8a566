package auth_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

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

// turned is another value of the same form.
func turned(value string) string {
	if value[0] == 'A' {
		return "B" + value[1:]
	}
	return "A" + value[1:]
}
