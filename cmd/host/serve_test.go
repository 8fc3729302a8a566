package main_test

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestServe_BadConfiguration(t *testing.T) {
	t.Parallel()
	status, stdout, stderr := command(t,
		map[string]string{"APP_ENV": "production", "PORT": "x", "SESSION_SECRET": "hunter2"}, "serve")
	require.Equal(t, 1, status)
	require.Empty(t, stdout)
	require.True(t, strings.HasPrefix(stderr, "host: configuration: 6 problems\n"), stderr)
	for _, name := range []string{"PORT", "APP_URL", "DATABASE_URL", "SESSION_SECRET", "STRIPE_SECRET_KEY",
		"STRIPE_WEBHOOK_SECRET"} {
		require.Contains(t, stderr, "\n  "+name+" ")
	}
	require.NotContains(t, stderr, "hunter2")
}

// A port in use is one line with the remedy, and nothing else is started.
func TestServe_PortInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	require.NoError(t, err)
	data := filepath.Join(t.TempDir(), "data")
	status, stdout, stderr := command(t, map[string]string{"PORT": port, "DATA_DIR": data})
	require.Equal(t, 1, status)
	require.Empty(t, stdout)
	require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
	require.Contains(t, stderr, "port "+port+" is in use")
	require.Regexp(t, `PORT=\d+ go run ./cmd/host`, stderr)
	require.NoDirExists(t, data)
}

// The error of an address that cannot be bound names the variables that choose it.
func TestServe_AddressNotOfThisMachine(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	// An address reserved for documentation.
	status, _, stderr := command(t, map[string]string{"BIND_ADDRESS": "203.0.113.9", "PORT": "0", "DATA_DIR": data})
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "BIND_ADDRESS")
	require.Contains(t, stderr, "PORT")
	require.Contains(t, stderr, "203.0.113.9")
	require.NoDirExists(t, data)
}

// The error of a failed migration has its file, statement and SQLSTATE, and the host does
// not start.
func TestServe_FailedMigration(t *testing.T) {
	t.Parallel()
	url := testdb.EmptyURL(t)
	db := testdb.Open(t, testdb.PQ, url)
	_, err := db.Exec(`CREATE SCHEMA booking_platform; CREATE TABLE booking_platform.resources (x int)`)
	require.NoError(t, err)
	status, _, stderr := command(t, map[string]string{"DATABASE_URL": url, "PORT": "0", "DATA_DIR": t.TempDir()})
	require.Equal(t, 1, status)
	for _, want := range []string{"booking/00001_bookings.sql", "42P07", "CREATE TABLE booking_platform.resources"} {
		require.Contains(t, stderr, want)
	}
}

// The session secret of development is kept in DATA_DIR.
func TestServe_SessionSurvivesRestart(t *testing.T) {
	t.Parallel()
	url, data := testdb.URL(t), t.TempDir()
	h := startHost(t, map[string]string{"DATABASE_URL": url, "DATA_DIR": data})
	admin := h.admin()
	require.NoError(t, h.stop())
	h = startHost(t, map[string]string{"DATABASE_URL": url, "DATA_DIR": data})
	again := h.client()
	again.http.Jar = admin.http.Jar // Cookies are not bound to a port.
	require.Equal(t, http.StatusOK, again.get("/auth/me").status)

	// If it cannot be kept, the host runs and logs it.
	file := filepath.Join(data, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	h = startHost(t, map[string]string{"DATABASE_URL": url, "DATA_DIR": filepath.Join(file, "below")})
	require.Contains(t, h.log.String(), "cannot store the session secret")
}
