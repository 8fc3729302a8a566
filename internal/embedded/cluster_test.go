package embedded_test

import (
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/embedded"
)

func TestCluster_PasswordRequired(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(open(t), "deep", "data")
	server, err := embedded.Start(t.Context(), dir, embedded.Options{Ephemeral: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	for _, user := range []*url.Userinfo{url.User("postgres"), url.User("booking"),
		url.UserPassword("postgres", "postgres"), url.UserPassword("booking", "booking")} {
		u, err := url.Parse(server.URL())
		require.NoError(t, err)
		u.User = user
		err = ping(t, u.String())
		var state interface{ SQLState() string }
		require.True(t, errors.As(err, &state), "%v", err)
		require.Equal(t, "28P01", state.SQLState(), "a wrong password, and not another reason")
	}
	for _, name := range []string{"password", "postgres.log", "lock"} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, "others may not read %s", name)
	}
	log, err := os.ReadFile(filepath.Join(dir, "postgres.log"))
	require.NoError(t, err)
	u, _ := url.Parse(server.URL())
	password, _ := u.User.Password()
	require.NotContains(t, string(log), password)
}

// The rights that the host and the tests need, and no more.
func TestCluster_RightsOfTheRole(t *testing.T) {
	t.Parallel()
	server, err := embedded.Start(t.Context(), "", embedded.Options{Ephemeral: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	db, err := sql.Open("postgres", server.URL())
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	for _, statement := range []string{
		`CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public`,
		`CREATE SCHEMA booking_platform`,
		`CREATE DATABASE another`,
	} {
		_, err = db.ExecContext(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	var super bool
	var encoding, zone string
	require.NoError(t, db.QueryRowContext(t.Context(),
		`SELECT rolsuper, current_setting('server_encoding'), current_setting('timezone') FROM pg_catalog.pg_roles WHERE rolname = current_user`).
		Scan(&super, &encoding, &zone))
	require.False(t, super)
	require.Equal(t, "UTF8", encoding)
	require.Equal(t, "UTC", zone)
}

func ping(t *testing.T, url string) error {
	t.Helper()
	db, err := sql.Open("postgres", url)
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	return db.PingContext(t.Context())
}
