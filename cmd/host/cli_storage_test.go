package main_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A database that is down or refuses the login is one line, at once, and no log line.
func TestCommand_DatabaseDown(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"postgres://u:hunter2@127.0.0.1:1/b": `^host: the database does not answer: .*connection refused\n$`,
	} {
		for _, args := range []string{"events waiting", "user list", "migrate up", "migrate status"} {
			status, stdout, stderr := command(t, map[string]string{"DATABASE_URL": url}, strings.Fields(args)...)
			require.Equal(t, 1, status)
			require.Empty(t, stdout)
			require.Regexp(t, want, stderr)
			require.NotContains(t, stderr, "hunter2")
		}
	}
}
