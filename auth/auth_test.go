package auth_test

import (
	"database/sql"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestNew_Refuses(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	for name, tc := range map[string]struct {
		db      *sql.DB
		secrets []string
		opts    auth.Options
		want    string
	}{
		"no database":  {nil, []string{secret}, auth.Options{}, "no database"},
		"no secret":    {db, nil, auth.Options{}, "no session secret"},
		"empty secret": {db, []string{""}, auth.Options{}, "secret 1 has 0 bytes"},
		"short secret": {db, []string{secret, secret[:31]}, auth.Options{},
			"secret 2 has 31 bytes, at least 32"},
		"none without secure": {db, []string{secret},
			auth.Options{Cookie: auth.CookieOptions{SameSite: http.SameSiteNoneMode, Insecure: true}},
			"must be Secure"},
		"unknown SameSite": {db, []string{secret}, auth.Options{Cookie: auth.CookieOptions{SameSite: 9}},
			"SameSite"},
		"bad domain": {db, []string{secret},
			auth.Options{Cookie: auth.CookieOptions{Domain: "exa mple; Path=/x"}}, "session cookie"},
		"negative timeout":     {db, []string{secret}, auth.Options{IdleTimeout: -time.Second}, "negative"},
		"login page elsewhere": {db, []string{secret}, auth.Options{LoginPath: "//evil.example/login"}, "login path"},
		"negative burst": {db, []string{secret},
			auth.Options{Limits: auth.LoginLimits{AccountFromNetwork: auth.Rate{Burst: -1}}}, "burst of logins is -1"},
		"a burst too many": {db, []string{secret},
			auth.Options{Limits: auth.LoginLimits{KnownBrowser: auth.Rate{Burst: 1_000_001}}},
			"burst of logins is 1000001"},
		"a lock": {db, []string{secret},
			auth.Options{Limits: auth.LoginLimits{Account: auth.Rate{Every: time.Hour + 1}}},
			"from a millisecond to an hour"},
		"no time": {db, []string{secret},
			auth.Options{Limits: auth.LoginLimits{Network: auth.Rate{Every: -1}}}, "from a millisecond to an hour"},
		"login page, query": {db, []string{secret}, auth.Options{LoginPath: "/login?a=b"}, "login path"},
	} {
		a, err := auth.New(tc.db, tc.secrets, tc.opts)
		require.ErrorContains(t, err, tc.want, name)
		require.NotContains(t, err.Error(), secret[:31], name)
		require.Nil(t, a, name)
	}
	_, err := auth.NewUsers(nil, auth.UsersOptions{})
	require.ErrorContains(t, err, "no database")
	_, err = auth.NewUsers(db, auth.UsersOptions{RefusalTime: -1})
	require.ErrorContains(t, err, "negative")
}
