package auth_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

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
