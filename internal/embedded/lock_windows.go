package embedded

import (
	"errors"
	"os"
	"os/exec"

	"golang.org/x/sys/windows"
)

func lock(f *os.File) error {
	const exclusive = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), exclusive, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return errLocked
	}
	return err
}

// inherit does nothing: on Windows a lock belongs to one process. There a second server
// cannot open the shared memory of the first.
func inherit(*exec.Cmd, *os.File) {}
