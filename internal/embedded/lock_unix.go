//go:build unix

package embedded

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

func lock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return errLocked
		default:
			return err
		}
	}
}

// inherit gives the lock to a child as well: it then lasts as long as the child and the
// children of that.
func inherit(cmd *exec.Cmd, held *os.File) { cmd.ExtraFiles = append(cmd.ExtraFiles, held) }
