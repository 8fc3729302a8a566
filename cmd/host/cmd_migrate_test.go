package main_test

import (
	"context"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	host "github.com/booking-platform/booking-platform/cmd/host"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/migrations"
)

func TestMigrate_UpAndStatus(t *testing.T) {
	t.Parallel()
	// Only the database is configured: the host could not start.
	env := map[string]string{"APP_ENV": "production", "DATABASE_URL": testdb.EmptyURL(t)}
	files, err := fs.Glob(migrations.FS(), "*/*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	status, stdout, stderr := command(t, env, "migrate", "status")
	require.Equal(t, 1, status)
	require.Contains(t, stdout, "booking/00001_bookings.sql")
	require.Equal(t, len(files), strings.Count(stdout, "pending"), stdout)
	require.Contains(t, stderr, "host migrate up")

	status, stdout, _ = command(t, env, "migrate", "up")
	require.Equal(t, 0, status)
	require.Equal(t, len(files), strings.Count(stdout, "applied "), stdout)
	status, stdout, _ = command(t, env, "migrate", "up")
	require.Equal(t, 0, status)
	require.Equal(t, "nothing to apply\n", stdout)
	status, stdout, _ = command(t, env, "migrate", "status")
	require.Equal(t, 0, status)
	require.NotContains(t, stdout, "pending")
	require.Equal(t, len(files), strings.Count(stdout, "applied"), stdout)
}

// O8: what is recorded as applied is not there, and a host would never be ready.
func TestMigrate_UpChecksSchema(t *testing.T) {
	t.Parallel()
	url := testdb.URL(t)
	env := map[string]string{"DATABASE_URL": url}
	_, err := testdb.Open(t, testdb.PQ, url).Exec(
		`UPDATE booking_platform.schema_versions SET version = 0 WHERE set_name = 'payments'`)
	require.NoError(t, err)
	status, stdout, stderr := command(t, env, "migrate", "up")
	require.Equal(t, 1, status)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "recorded as applied, but the schema is not complete")
	require.Contains(t, stderr, "payments/00001")
}

// O11: another process that migrates, and a session that holds a table, are named.
func TestMigrate_UpNamesBlocker(t *testing.T) {
	t.Parallel()
	for name, lock := range map[string]string{
		// The lock of package migrations.
		"another process": `SELECT pg_advisory_xact_lock(x'14c7c8ac35a94943'::bigint)`,
		"a table":         `LOCK TABLE booking_platform.schema_versions`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := testdb.EmptyURL(t)
			db := testdb.Open(t, testdb.PQ, url)
			_, err := migrations.Up(t.Context(), db, migrations.Webhook)
			require.NoError(t, err)
			tx, err := db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			defer func() { _ = tx.Rollback() }()
			_, err = tx.Exec(lock)
			require.NoError(t, err)
			var pid string
			require.NoError(t, tx.QueryRow(`SELECT pg_backend_pid()::text`).Scan(&pid))

			var stdout, stderr logBook
			ended := make(chan int, 1)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				ended <- host.Run(ctx, []string{"migrate", "up"}, map[string]string{"DATABASE_URL": url}, &stdout,
					&stderr)
			}()
			eventually(t, "the session is named", func() bool {
				return strings.Contains(stderr.String(), "waiting for the session with pid "+pid+" ")
			})
			require.Contains(t, stderr.String(), "pg_terminate_backend("+pid+")")
			require.NoError(t, tx.Rollback())
			require.Equal(t, 0, <-ended, stderr.String())
			require.Contains(t, stdout.String(), "applied booking/00001_bookings.sql\n")
			require.Equal(t, 1, strings.Count(stdout.String(), "payments/00001"), stdout.String())
		})
	}
}
