package pgtest_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/pgtest"
)

func TestClusterFolder_InMemoryOnlyWithRoom(t *testing.T) {
	t.Parallel()
	memory := t.TempDir()
	for name, test := range map[string]struct {
		memory string
		free   uint64
		err    error
		used   bool
	}{
		"enough room":      {memory, 2 << 30, nil, true},
		"container's 64MB": {memory, 64 << 20, nil, false},
		"not in memory":    {memory, 8 << 30, errors.New("not in memory"), false},
		"not writable":     {filepath.Join(memory, "missing"), 8 << 30, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, described, err := pgtest.ClusterFolder(test.memory,
				func(string) (uint64, error) { return test.free, test.err })
			require.NoError(t, err)
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			require.DirExists(t, dir)
			if test.used {
				require.Equal(t, memory, filepath.Dir(dir))
				require.Equal(t, "data in memory ("+memory+")", described)
			} else {
				require.NotEqual(t, memory, filepath.Dir(dir))
				require.Equal(t, "data in "+filepath.Dir(dir), described)
			}
		})
	}
}
