package embedded_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGuard_GuardKilled(t *testing.T) {
	t.Parallel()
	dir := open(t)
	host := spawn(t, life{Dir: dir}, nil)
	require.Empty(t, host.Error)
	remember(t, host.URL, 0)
	guard := childOf(t, host.cmd.Process.Pid)
	require.NoError(t, syscall.Kill(guard, syscall.SIGKILL))
	requireGone(t, host.URL)
	host.kill()
	next := spawn(t, life{Dir: dir}, nil)
	require.Empty(t, next.Error)
	remember(t, next.URL, 1)
}

func childOf(t *testing.T, parent int) (child int) {
	t.Helper()
	eventually(t, "there is a guard", func() bool {
		files, err := filepath.Glob("/proc/[0-9]*/stat")
		require.NoError(t, err)
		for _, file := range files {
			text, _ := os.ReadFile(file)
			// pid (name) state parent …
			if _, rest, ok := bytes.Cut(text, []byte(") ")); ok &&
				strings.Fields(string(rest))[1] == strconv.Itoa(parent) {
				child, err = strconv.Atoi(filepath.Base(filepath.Dir(file)))
				return err == nil
			}
		}
		return false
	})
	return child
}
