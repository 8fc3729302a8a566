//go:build linux || darwin

package doctor

import "golang.org/x/sys/unix"

// freeSpace returns the free bytes for an ordinary user.
func freeSpace(dir string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil
}

// writable reports whether files can be made in dir, also on a read-only file system.
func writable(dir string) bool { return unix.Access(dir, unix.W_OK) == nil }
