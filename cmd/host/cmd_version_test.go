package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVersion_CommandAndFlag(t *testing.T) {
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

func TestMan_EveryCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	status, _, stderr := command(t, nil, "man", dir)
	require.Equal(t, 0, status, stderr)
	page, err := os.ReadFile(filepath.Join(dir, "host-events-replay.1"))
	require.NoError(t, err)
	require.Contains(t, string(page), "Parked and ignored events are handled only if")
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	require.NoError(t, err)
	require.Greater(t, len(pages), 30)
}
