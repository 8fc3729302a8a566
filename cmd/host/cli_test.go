package main_test

import (
	"bytes"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	host "github.com/booking-platform/booking-platform/cmd/host"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/migrations"
)

// command runs one command to its end.
func command(t *testing.T, environ map[string]string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = host.Run(t.Context(), args, environ, &out, &err)
	return status, out.String(), err.String()
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"version"}, {"--version"}} {
		status, stdout, stderr := command(t, map[string]string{"APP_VERSION": "v1.2.3"}, args...)
		require.Equal(t, 0, status)
		require.Equal(t, "v1.2.3\n", stdout)
		require.Empty(t, stderr)
	}
	_, stdout, _ := command(t, map[string]string{"APP_VERSION": "v1.2.3"}, "version", "--json")
	require.Equal(t, `{"version":"v1.2.3"}`+"\n", stdout)
	_, stdout, _ = command(t, nil, "version")
	require.NotEmpty(t, strings.TrimSpace(stdout))
}

func TestBadConfigurationStopsTheStart(t *testing.T) {
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

// A port in use is one line with the remedy, and nothing else was started.
func TestPortInUse(t *testing.T) {
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

// An address that cannot be taken is named with the variables that choose it.
func TestAddressThatCannotBeTaken(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	// An address for documentation, which no machine has.
	status, _, stderr := command(t, map[string]string{"BIND_ADDRESS": "203.0.113.9", "PORT": "0", "DATA_DIR": data})
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "BIND_ADDRESS")
	require.Contains(t, stderr, "PORT")
	require.Contains(t, stderr, "203.0.113.9")
	require.NoDirExists(t, data)
}

func TestMigrateCommands(t *testing.T) {
	t.Parallel()
	// Nothing but the database is configured, and the rest would not let the host start.
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

// A migration that fails is told with its file, its statement and its SQLSTATE, and the
// host does not start.
func TestFailedMigrationStopsTheStart(t *testing.T) {
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

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	port := h.URL()[strings.LastIndex(h.URL(), ":")+1:]
	for _, address := range []string{"", "0.0.0.0", "::", "localhost"} {
		status, stdout, stderr := command(t, map[string]string{"PORT": port, "BIND_ADDRESS": address}, "healthcheck")
		require.Equal(t, 0, status, stderr)
		require.Equal(t, "ready\n", stdout)
	}
	ill := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter,
		_ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer ill.Close()
	status, _, stderr := command(t, map[string]string{"PORT": ill.URL[strings.LastIndex(ill.URL, ":")+1:]},
		"healthcheck")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "/health/db answers 503")
	status, _, stderr = command(t, map[string]string{"PORT": "1"}, "healthcheck")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "healthcheck: ")
}

// The first start makes the sample, and a later one leaves alone what is there. Nobody
// but development gets one.
func TestSampleResource(t *testing.T) {
	t.Parallel()
	url := testdb.URL(t)
	h := startHost(t, map[string]string{"DATABASE_URL": url})
	require.Equal(t, 1, h.count("resources"))
	require.NoError(t, h.stop())
	_, err := h.db.Exec(`UPDATE booking_platform.resources SET slug = 'mine'`)
	require.NoError(t, err)
	h = startHost(t, map[string]string{"DATABASE_URL": url})
	require.Equal(t, 1, h.count("resources"))

	produced := startHost(t, map[string]string{
		"APP_ENV": "production", "BIND_ADDRESS": "127.0.0.1", "APP_URL": "https://booking.example.com",
		"SESSION_SECRET":    strings.Repeat("s", 32),
		"STRIPE_SECRET_KEY": "sk_test_x", "STRIPE_WEBHOOK_SECRET": "whsec_12345678",
	})
	require.Zero(t, produced.count("resources"))
	c := produced.client()
	page := c.get("/")
	require.Contains(t, page.body, "Nothing can be booked yet")
	require.NotContains(t, page.body, "stand-in")
	require.Equal(t, "max-age=63072000", page.header.Get("Strict-Transport-Security"))
	require.Equal(t, http.StatusNotFound, c.get("/stripe/v1/checkout/sessions").status)
	a := c.post("/auth/login", m{"email": adminEmail, "password": adminPassword})
	require.Equal(t, http.StatusOK, a.status)
	require.Contains(t, a.header.Get("Set-Cookie"), "__Host-")
	require.Contains(t, a.header.Get("Set-Cookie"), "Secure")
}

// The secret of development is kept, so that a login outlives a restart.
func TestLoginOutlivesARestart(t *testing.T) {
	t.Parallel()
	url, data := testdb.URL(t), t.TempDir()
	h := startHost(t, map[string]string{"DATABASE_URL": url, "DATA_DIR": data})
	admin := h.admin()
	require.NoError(t, h.stop())
	h = startHost(t, map[string]string{"DATABASE_URL": url, "DATA_DIR": data})
	again := h.client()
	again.http.Jar = admin.http.Jar // Cookies do not look at ports.
	require.Equal(t, http.StatusOK, again.get("/auth/me").status)

	// Where it cannot be kept, the host runs all the same, and says so.
	file := filepath.Join(data, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	h = startHost(t, map[string]string{"DATABASE_URL": url, "DATA_DIR": filepath.Join(file, "below")})
	require.Contains(t, h.log.String(), "cannot be kept")
}
