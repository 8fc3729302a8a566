//go:build unix

package embedded_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/embedded"
)

func TestOnMachine_PathThenNewest(t *testing.T) {
	t.Parallel()
	root := open(t)
	install := func(folder, version string, names ...string) string {
		folder = filepath.Join(root, folder)
		require.NoError(t, os.MkdirAll(folder, 0o755))
		for _, name := range names {
			// Written by another process: a program cannot be run while any process has
			// it open for writing, and that may be what another test is about to start.
			write := exec.Command("/bin/sh", "-c",
				`printf '#!/bin/sh\necho "postgres (PostgreSQL) %s"\n' "$1" >"$2" && chmod 755 "$2"`, "sh", version,
				filepath.Join(folder, name))
			out, err := write.CombinedOutput()
			require.NoError(t, err, string(out))
		}
		return folder
	}
	onPath := install("path", "14.9", "postgres", "initdb")
	nine := install("lib/9/bin", "9.6.24", "postgres", "initdb")
	sixteen := install("lib/16/bin", "16.3 (Debian 16.3-1)", "postgres", "initdb")
	beta := install("lib/18/bin", "18beta1", "postgres", "initdb")
	install("lib/17/bin", "17.1", "postgres")
	client := install("client", "17.1", "psql", "pg_config")
	require.NoError(t, os.Symlink(sixteen, filepath.Join(root, "link")))

	path := client + ":relative::" + filepath.Join(root, "missing") + ":" + onPath + ":" + filepath.Join(root, "link")
	require.Equal(t, []string{onPath, filepath.Join(root, "link"), beta, nine},
		embedded.OnMachine(t.Context(), path, filepath.Join(root, "lib/*/bin"), filepath.Join(root, "nothing/*")),
		"18 before 9, each folder once, and none without initdb")
}

func TestStart_DataOfAnotherVersion(t *testing.T) {
	t.Parallel()
	dir := open(t)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
	version := filepath.Join(dir, "data", "PG_VERSION")
	require.NoError(t, os.WriteFile(version, []byte("99\n"), 0o600))
	_, err := embedded.Start(t.Context(), dir, embedded.Options{})
	require.ErrorContains(t, err, "the data in "+dir+" was made by Postgres 99, which is needed to run it: ")
	require.ErrorContains(t, err, "install Postgres 99, or choose another folder (DATA_DIR)")

	require.NoError(t, os.WriteFile(version, []byte("my notes\n"), 0o600))
	_, err = embedded.Start(t.Context(), dir, embedded.Options{})
	require.ErrorContains(t, err, "what is in "+dir+" is no Postgres data")
}
