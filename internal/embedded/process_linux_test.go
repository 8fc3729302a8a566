package embedded_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// With user namespaces this user owns the files, and can remove them.
func TestStart_OwnerOfFilesIsKept(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 && !possible(contained(1)) {
		// Then the next test is about this place.
		return
	}
	dir := filepath.Join(open(t), "data")
	host := spawn(t, life{Dir: dir}, nil)
	require.Empty(t, host.Error)
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		// A running server removes files, too.
		if info, err := os.Lstat(path); err == nil {
			require.EqualValues(t, os.Geteuid(), info.Sys().(*syscall.Stat_t).Uid, path)
		}
		return nil
	}))
}

// As in many containers: root's server runs as another user, also in closed folders.
func TestStart_RootWithoutNamespaces(t *testing.T) {
	t.Parallel()
	for _, mode := range []os.FileMode{0o755, 0o700} {
		parent := open(t)
		require.NoError(t, os.Chmod(parent, mode))
		dir := filepath.Join(parent, "data")
		for start := range 2 {
			as := contained(1 << 16)
			forbid := possible(as)
			if !forbid {
				// This is not root, or such a container.
				as = nil
			}
			host := spawn(t, life{Dir: dir, NoNamespaces: forbid}, as)
			require.Empty(t, host.Error)
			remember(t, host.URL, start)
			host.kill()
			requireGone(t, host.URL)
		}
	}
}

func TestStart_RootWithoutAnyUser(t *testing.T) {
	t.Parallel()
	// No namespaces, and no users but root.
	as := contained(1)
	if !possible(as) {
		// Such a place cannot be made here.
		return
	}
	host := spawn(t, life{Dir: filepath.Join(open(t), "data"), NoNamespaces: true}, as)
	require.Contains(t, host.Error, "Postgres does not run as root")
	require.Contains(t, host.Error, "a user namespace: ")
	require.Contains(t, host.Error, "the user nobody: ")
	require.Contains(t, host.Error,
		"start as an ordinary user, or use a Postgres that runs already (STORAGE_DRIVER=db, DATABASE_URL)")
}

// contained makes a child root in a namespace with this number of users.
func contained(users int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:                 syscall.CLONE_NEWUSER,
		UidMappings:                []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: users}},
		GidMappings:                []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: users}},
		GidMappingsEnableSetgroups: users > 1,
	}
}

func possible(as *syscall.SysProcAttr) bool {
	cmd := exec.Command("/bin/sh", "-c", "echo 0 >/proc/sys/user/max_user_namespaces")
	cmd.SysProcAttr = as
	return cmd.Run() == nil
}
