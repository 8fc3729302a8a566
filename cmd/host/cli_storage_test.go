package main_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
)

// requireOneLine requires that a command fails at once with one line on standard error,
// which matches want, and logs nothing.
func requireOneLine(t *testing.T, databaseURL, want string) {
	t.Helper()
	for _, args := range []string{"events waiting", "user list", "migrate up", "migrate status"} {
		status, stdout, stderr := command(t, map[string]string{"DATABASE_URL": databaseURL}, strings.Fields(args)...)
		require.Equal(t, 1, status)
		require.Empty(t, stdout)
		require.Regexp(t, want, stderr)
		require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
		require.NotContains(t, stderr, "hunter2")
	}
}

func TestCommand_DatabaseDown(t *testing.T) {
	t.Parallel()
	requireOneLine(t, "postgres://u:hunter2@127.0.0.1:1/b",
		`^host: the database does not answer: .*connection refused\n$`)
}

func TestCommand_DatabaseFrozen(t *testing.T) {
	t.Parallel()
	frozen, through := newDBProxy(t, testdb.URL(t))
	frozen.freeze()
	status, stdout, stderr := command(t, map[string]string{"DATABASE_URL": through}, "events", "waiting")
	require.Equal(t, 1, status)
	require.Empty(t, stdout)
	require.Regexp(t, `^host: the database does not answer: .+\n$`, stderr)
}

func TestCommand_DatabaseRefuses(t *testing.T) {
	t.Parallel()
	direct := testdb.Direct(t, testdb.EmptyURL(t), "a pooler answers in the server's place")
	for name, c := range map[string]struct {
		change func(*url.URL, url.Values)
		want   string
	}{
		"no such database": {func(u *url.URL, _ url.Values) { u.Path = "/no_such_database" },
			"names the database no_such_database, which does not exist"},
		"no such role": {func(u *url.URL, _ url.Values) { u.User = url.UserPassword("no_such_role", "hunter2") },
			"is refused"},
		"no TLS": {func(_ *url.URL, q url.Values) { q.Set("sslmode", "require") }, "demands TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, err := url.Parse(direct)
			require.NoError(t, err)
			query := u.Query()
			c.change(u, query)
			u.RawQuery = query.Encode()
			requireOneLine(t, u.String(), `^host: configuration: DATABASE_URL `+c.want)
		})
	}
}

// A command logs with --verbose alone, as text.
func TestCommand_Verbose(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.URL(t) + "&connection_limit=5"}
	_, _, stderr := command(t, env, "user", "list")
	require.Empty(t, stderr)
	_, _, stderr = command(t, env, "user", "list", "--verbose")
	require.Contains(t, stderr, "level=WARN")
	require.Contains(t, stderr, "connection_limit")
}

// Commands whose JSON no other test reads print objects with these fields.
func TestCommand_JSON(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.EmptyURL(t), "DATA_DIR": t.TempDir()}
	resource := "slug: room\nname: Room\ntimeZone: UTC\nslotLength: 1h\ncurrency: EUR\nprice: \"25.00\"\n"
	for _, c := range []struct {
		args, stdin, want string
	}{
		{"migrate up", "", `{"set":"`},
		{"migrate status", "", `"applied":true}`},
		{"user add ada@example.com", "correct horse battery",
			`{"email":"ada@example.com","role":"READONLY","active":true,"updatedAt":"`},
		{"user disable ada@example.com", "", `"active":false`},
		{"user list", "", `{"email":"ada@example.com","role":"READONLY","active":false,`},
		{"resource apply -f - --dry-run", resource, `{"slug":"room","result":"created","dryRun":true}`},
		{"resource apply -f -", resource, `{"slug":"room","result":"created"}`},
		{"resource apply -f -", strings.Replace(resource, "25.00", "0.25", 1),
			`[{"field":"price","from":"25.00 EUR","to":"0.25 EUR"}],"warnings":["price is 0.25 EUR`},
		{"resource list", "",
			`{"slug":"room","name":"Room","capacity":1,"price":25,"currency":"eur","offers":0,"timeZone":"UTC",`},
		{"resource show room", "", `"price":"0.25"`},
		{"payment list", "", ""},
	} {
		status, stdout, stderr := run(t, env, c.stdin, append(strings.Fields(c.args), "--json")...)
		require.Equal(t, 0, status, stderr)
		require.Contains(t, stdout, c.want)
		for line := range strings.Lines(stdout) {
			require.True(t, json.Valid([]byte(line)), line)
		}
	}
	// What show prints can be applied.
	_, shown, _ := run(t, env, "", "resource", "show", "room", "--json")
	_, stdout, stderr := run(t, env, shown, "resource", "apply", "-f", "-")
	require.Contains(t, stdout, "room: unchanged", stderr)
}
