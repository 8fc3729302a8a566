package main_test

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

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
