package doctor_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/cmd/host/internal/doctor"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// atHome examines a host in development, on its own Postgres that does not run, unless
// the variables say otherwise.
func atHome(t *testing.T, opts doctor.Options, environ map[string]string) []doctor.Finding {
	t.Helper()
	if environ["DATA_DIR"] == "" {
		environ["DATA_DIR"] = filepath.Join(t.TempDir(), "data")
	}
	for name, value := range map[string]string{"PORT": "1", "METRICS_ADDR": "127.0.0.1:2"} {
		if environ[name] == "" {
			environ[name] = value
		}
	}
	opts.Config, opts.Problems = config.Read(environ)
	opts.PoolSize, opts.Hosts = 20, 2
	return doctor.Examine(t.Context(), opts)
}

// What only production needs is no problem, and no warning either.
func TestDevelopmentIsSilent(t *testing.T) {
	t.Parallel()
	found := atHome(t, doctor.Options{}, map[string]string{})
	require.Empty(t, amiss(found), whole(found))
	require.Contains(t, whole(found), "MB are free", "the system was asked")

	// A database that no host has used, and a key of test mode with no endpoint.
	w := newWorld(t)
	found = atHome(t, doctor.Options{DB: testdb.New(t)}, map[string]string{
		"DATABASE_URL": "postgres://booking:booking@db/booking_platform", "STRIPE_SECRET_KEY": testKey,
		"STRIPE_WEBHOOK_SECRET": "whsec_" + strings.Repeat("0123456789abcdef", 4),
		"STRIPE_API_BASE":       w.account(), "APP_URL": "http://127.0.0.1:3000",
	})
	require.Empty(t, amiss(found), whole(found))

	// An empty one is to be migrated, which a start does.
	found = atHome(t, doctor.Options{DB: testdb.Empty(t)}, map[string]string{"DATABASE_URL": "postgres://db/b"})
	require.Equal(t, []string{"warning schema"}, amiss(found), whole(found))
}

func TestMistakesOfDevelopment(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		environ []string
		want    string
	}{
		"a live key": {[]string{"STRIPE_SECRET_KEY", liveKey, "STRIPE_WEBHOOK_SECRET",
			"whsec_Zt8fQ2mXy0Lb7Kc3Vn5Rw9Jd", "STRIPE_API_BASE", "http://127.0.0.1:1"},
			"warning stripe-key-mode,problem stripe"},
		"a live key of Stripe's": {[]string{"STRIPE_SECRET_KEY", liveKey, "STRIPE_WEBHOOK_SECRET",
			"whsec_Zt8fQ2mXy0Lb7Kc3Vn5Rw9Jd"}, "problem configuration"},
		"a public address": {[]string{"APP_URL", "https://booking.example.com"},
			"problem configuration,warning environment"},
		"a secure cookie on http": {[]string{"COOKIE_SECURE", "true", "APP_URL", "http://192.168.1.7:3000"},
			"problem configuration,problem cookie-secure"},
		"two environments": {[]string{"APP_ENV", "development", "NODE_ENV", "production", "APP_URL",
			"https://booking.example.com", "DATABASE_URL", "postgres://db/b",
			"SESSION_SECRET", "kXk6V0lHq2B8ZtqC0yq3n0Wm5m5d1fJr7uYb9sPzE4A=", "TRUST_PROXY", "1", "STRIPE_SECRET_KEY",
			liveKey, "STRIPE_WEBHOOK_SECRET", "whsec_Zt8fQ2mXy0Lb7Kc3Vn5Rw9Jd", "STRIPE_API_BASE",
			"http://127.0.0.1:1"}, "problem configuration,problem configuration"},
		"a weak secret": {[]string{"SESSION_SECRET", strings.Repeat("s", 40)}, "warning session-secret"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environ := map[string]string{}
			for i := 0; i < len(c.environ); i += 2 {
				environ[c.environ[i]] = c.environ[i+1]
			}
			found := atHome(t, doctor.Options{}, environ)
			require.Equal(t, c.want, strings.Join(amiss(found), ","), whole(found))
		})
	}
}

func TestDisk(t *testing.T) {
	t.Parallel()
	for want, free := range map[string]uint64{"problem disk": 100 << 20, "warning disk": 500 << 20} {
		found := atHome(t, doctor.Options{FreeSpace: func(string) (uint64, error) { return free, nil }},
			map[string]string{})
		require.Equal(t, []string{want}, amiss(found), whole(found))
	}
}

func TestDataDir(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		return // It has no such rights.
	}
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	password := filepath.Join(dir, "password")
	require.NoError(t, os.WriteFile(password, []byte("x"), 0o600))
	examine := func(dir string) []string {
		return amiss(atHome(t, doctor.Options{}, map[string]string{"DATA_DIR": dir}))
	}
	require.Empty(t, examine(dir))
	require.Equal(t, []string{"problem data-dir"}, examine(password), "a file")
	require.NoError(t, os.Chmod(password, 0o644))
	require.Equal(t, []string{"warning data-dir"}, examine(dir))
	require.NoError(t, os.Chmod(password, 0o600))
	require.NoError(t, os.Chmod(dir, 0o777))
	require.Equal(t, []string{"warning data-dir"}, examine(dir))
}

// A check that hangs whatever its context says, or panics, is a finding, and the others
// are made.
func TestChecksAreBounded(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	for want, ask := range map[string]func(string) (uint64, error){
		"no answer within": func(string) (uint64, error) { <-release; return 0, nil },
		"itself failed":    func(string) (uint64, error) { panic("a mistake") },
	} {
		found := atHome(t, doctor.Options{FreeSpace: ask, Timeout: 200 * time.Millisecond}, map[string]string{})
		require.Equal(t, []string{"problem disk"}, amiss(found), whole(found))
		require.Contains(t, whole(found), want)
		require.Contains(t, whole(found), "ok stripe: ")
	}
}

func TestCollation_AnotherVersion(t *testing.T) {
	t.Parallel()
	require.Equal(t, doctor.Warning, doctor.Collation("2.31", "2.36").Level)
	require.Equal(t, doctor.OK, doctor.Collation("2.36", "2.36").Level)
	require.Equal(t, doctor.OK, doctor.Collation("", "").Level)
}
