package main_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/internal/embedded"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func userCommand(t *testing.T, environ map[string]string, in string,
	args ...string) (status int, stdout, stderr string) {
	t.Helper()
	return run(t, environ, in, append([]string{"user"}, args...)...)
}

func TestUser_AddChangeList(t *testing.T) {
	t.Parallel()
	url := testdb.URL(t)
	env := map[string]string{"APP_ENV": "production", "DATABASE_URL": url}
	const password, another = "correct horse battery", "quite another password"
	users, err := auth.NewUsers(testdb.Open(t, testdb.PQ, url), auth.UsersOptions{})
	require.NoError(t, err)
	login := func(password string) error {
		_, err := users.Authenticate(t.Context(), "ada@example.com", password)
		return err
	}

	status, stdout, stderr := userCommand(t, env, password+"\n", "add", "--role", "OPS", "Ada@Example.com")
	require.Equal(t, 0, status, stderr)
	require.Contains(t, stdout, "ada@example.com")
	require.NoError(t, login(password))
	status, _, stderr = userCommand(t, env, password+"\n", "add", "ada@example.com")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "already")
	status, _, stderr = userCommand(t, env, "short\n", "add", "bob@example.com")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "password must be at least 10 characters")
	status, _, stderr = userCommand(t, env, password+"\n", "add", "--role", "ROOT", "bob@example.com")
	require.Equal(t, 2, status)
	require.Contains(t, stderr, "ADMIN, OPS, READONLY")
	status, _, _ = userCommand(t, env, password, "add", "bob@example.com")
	require.Equal(t, 0, status, "a last line without an end")

	status, _, stderr = userCommand(t, env, "", "add", "--generate", "eve@example.com")
	require.Equal(t, 0, status, stderr)
	require.Regexp(t, `^password: [A-Z2-7]{26}\n$`, stderr)
	generated := strings.TrimSpace(strings.TrimPrefix(stderr, "password: "))
	_, err = users.Authenticate(t.Context(), "eve@example.com", generated)
	require.NoError(t, err)
	status, _, stderr = userCommand(t, env, "", "passwd", "--generate", "eve@example.com")
	require.Equal(t, 0, status, stderr)
	_, err = users.Authenticate(t.Context(), "eve@example.com", generated)
	require.ErrorIs(t, err, auth.ErrCredentials)

	status, stdout, _ = userCommand(t, env, "", "role", "ada@example.com", "ADMIN")
	require.Equal(t, 0, status)
	require.Regexp(t, `ada@example.com +ADMIN +active`, stdout)
	status, stdout, _ = userCommand(t, env, "", "disable", "ada@example.com")
	require.Equal(t, 0, status)
	require.Regexp(t, `ada@example.com +ADMIN +disabled`, stdout)
	require.ErrorIs(t, login(password), auth.ErrCredentials)
	status, _, _ = userCommand(t, env, "", "enable", "ada@example.com")
	require.Equal(t, 0, status)
	status, _, stderr = userCommand(t, env, another+"\r\n", "passwd", "ada@example.com")
	require.Equal(t, 0, status, stderr)
	require.ErrorIs(t, login(password), auth.ErrCredentials)
	require.NoError(t, login(another))

	status, stdout, _ = userCommand(t, env, "", "list")
	require.Equal(t, 0, status)
	require.Regexp(t, `(?s)ada@example.com +ADMIN +active.*bob@example.com +READONLY +active`, stdout)
	for _, args := range [][]string{{"role", "unknown@example.com", "OPS"}, {"disable", "unknown@example.com"},
		{"passwd", "unknown@example.com"}} {
		status, _, stderr = userCommand(t, env, password+"\n", args...)
		require.Equal(t, 1, status)
		require.Contains(t, stderr, `there is no user "unknown@example.com"`)
	}
	require.NotContains(t, stdout+stderr, password)
	for _, in := range []string{"", "\r\n"} {
		status, _, stderr = userCommand(t, env, in, "passwd", "ada@example.com")
		require.Equal(t, 1, status)
		require.Contains(t, stderr, "there is no password on standard input")
	}
}

func TestUser_SchemaMissing(t *testing.T) {
	t.Parallel()
	status, _, stderr := userCommand(t, map[string]string{"DATABASE_URL": testdb.EmptyURL(t)}, "", "list")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "host migrate up")
}

// A command uses the private Postgres of a running host, and leaves it running.
func TestUser_BesideRunningHost(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	server, err := embedded.Start(t.Context(), dir, embedded.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Stop()) }()
	env := map[string]string{"DATA_DIR": dir}
	status, _, stderr := command(t, env, "migrate", "up")
	require.Equal(t, 0, status, stderr)
	status, stdout, stderr := userCommand(t, env, "correct horse battery", "add", "ada@example.com")
	require.Equal(t, 0, status, stderr)
	require.Contains(t, stdout, "ada@example.com")
	status, stdout, stderr = userCommand(t, env, "", "list")
	require.Equal(t, 0, status, stderr)
	require.Contains(t, stdout, "ada@example.com")
}
