//go:build unix

package embedded_test

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/embedded"
)

// A folder that nobody but us may enter, in one that nobody but us may enter: a clone below /root, say.
func TestClosedFolder(t *testing.T) {
	t.Parallel()
	closed := filepath.Join(open(t), "closed")
	require.NoError(t, os.Mkdir(closed, 0o700))
	twice(t, filepath.Join(closed, "clone", "data"), nil)
}

func TestOrdinaryUser(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(open(t), "data")
	require.NoError(t, os.Mkdir(dir, 0o700))
	twice(t, dir, ordinary(t, dir))
}

// Root works on an ordinary user's data, and the ordinary user can go on with it.
func TestUsersTakeTurns(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(open(t), "data")
	require.NoError(t, os.Mkdir(dir, 0o700))
	user := ordinary(t, dir)
	for start, as := range []*syscall.SysProcAttr{user, nil, user} {
		host := spawn(t, life{Dir: dir}, as)
		require.Empty(t, host.Error)
		remember(t, host.URL, start)
		host.kill()
	}
}

func TestFolderOfAnotherUser(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(open(t), "data")
	user := ordinary(t, dir)
	require.NoError(t, os.Mkdir(dir, 0o500))
	host := spawn(t, life{Dir: dir}, user)
	require.Contains(t, host.Error, "permission denied")
	require.Contains(t, host.Error, dir)
}

// twice starts on a folder, kills, and starts again.
func twice(t *testing.T, dir string, as *syscall.SysProcAttr) {
	t.Helper()
	for start := range 2 {
		host := spawn(t, life{Dir: dir, Opts: embedded.Options{}}, as)
		require.Empty(t, host.Error)
		remember(t, host.URL, start)
		host.kill()
		requireGone(t, host.URL)
	}
}

// ordinary is an ordinary user, to whom a folder is given: somebody else when we are root, else ourselves.
func ordinary(t *testing.T, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	nobody, err := user.Lookup("nobody")
	require.NoError(t, err)
	uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
	require.NoError(t, err)
	gid, err := strconv.ParseUint(nobody.Gid, 10, 32)
	require.NoError(t, err)
	if _, err := os.Stat(dir); err == nil {
		require.NoError(t, os.Chown(dir, int(uid), int(gid)))
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}
