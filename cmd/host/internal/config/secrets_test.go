package config_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
)

func TestKeepSessionSecret_SameForAllProcesses(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	secrets := make([]string, 16)
	var all sync.WaitGroup
	for i := range secrets {
		all.Go(func() {
			s, err := config.KeepSessionSecret(dir)
			if err == nil {
				secrets[i] = s
			}
		})
	}
	all.Wait()
	for _, s := range secrets {
		require.Equal(t, secrets[0], s, "every process gets the same one")
	}
	require.GreaterOrEqual(t, len(secrets[0]), 32)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	info, err := entries[0].Info()
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	require.NoError(t, os.WriteFile(filepath.Join(dir, "session_secret"), []byte("short"), 0o600))
	_, err = config.KeepSessionSecret(dir)
	require.ErrorContains(t, err, "session_secret holds no secret")
}
