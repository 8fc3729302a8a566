package auth_test

import (
	"bytes"
	"context"
	"database/sql"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/stretchr/testify/require"
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

func TestRun_DeletesAndReports(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var step string
	var items int
	a := newAuth(t, db, auth.Options{OnStep: func(name string, _ time.Duration, n int, err error) {
		if err != nil {
			t.Error(err)
		}
		step, items = name, n
		stop()
	}})
	start(t, a, "old")
	exec(t, db, `UPDATE booking_platform.sessions SET expires_at = statement_timestamp() - interval '1 second'`)
	require.NoError(t, a.Run(ctx))
	require.Equal(t, "auth.DeleteExpired", step)
	require.Equal(t, 1, items)
	require.Zero(t, count(t, db, `SELECT count(*) FROM booking_platform.sessions`))
}

func TestRun_FailureIsReportedAndLogged(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var log bytes.Buffer
	var failure error
	a := newAuth(t, db, auth.Options{
		Logger: slog.New(slog.NewJSONHandler(&log, nil)),
		OnStep: func(_ string, _ time.Duration, _ int, err error) {
			failure = err
			stop()
		},
	})
	exec(t, db, `DROP TABLE booking_platform.sessions`)
	require.NoError(t, a.Run(ctx))
	require.ErrorContains(t, failure, "sessions")
	require.Contains(t, log.String(), `"step":"auth.DeleteExpired"`)
	require.Contains(t, log.String(), `"sqlstate":"42P01"`)
}

func TestDeleteExpired_IdleAndOldSessions(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a := newAuth(t, db, auth.Options{})
	for _, user := range []string{"idle", "old", "live", "live"} {
		start(t, a, user)
	}
	exec(t, db, `UPDATE booking_platform.sessions SET last_seen_at = statement_timestamp() - interval '13 hours'
		WHERE user_id = 'idle'`)
	exec(t, db, `UPDATE booking_platform.sessions SET expires_at = statement_timestamp() - interval '1 second'
		WHERE user_id = 'old'`)

	n, err := a.DeleteExpired(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Equal(t, 2, count(t, db, sessionsOf, "live"))
	n, err = a.DeleteExpired(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestDeleteExpired_FullBudgets(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a := limited(t, db, auth.LoginLimits{})
	allowed(t, a, "n", "ada@example.com")
	exec(t, db, `INSERT INTO booking_platform.rate_limits (key, full_at)
		SELECT sha256(n::text::bytea), statement_timestamp() - interval '61 seconds'
		FROM generate_series(1, 10001) AS n`)
	n, err := a.DeleteExpired(t.Context())
	require.NoError(t, err)
	require.Equal(t, 10_001, n, "in batches")
	require.Equal(t, 3, count(t, db, `SELECT count(*) FROM booking_platform.rate_limits`))
	require.Zero(t, allowed(t, a, "n", "ada@example.com"), "what is not full stays")
	exec(t, db, `UPDATE booking_platform.rate_limits SET full_at = statement_timestamp()`)
	n, err = limited(t, db, auth.LoginLimits{Off: true}).DeleteExpired(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
}
