package embedded

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/windows"
)

// Postgres itself refuses an elevated console.
func identities(string) ([]identity, error) {
	return []identity{{name: "this user",
			attributes: func() *syscall.SysProcAttr { return &syscall.SysProcAttr{HideWindow: true} }, uid: -1,
			gid: -1}},
		nil
}

func letIn(string) (func(), error) { return func() {}, nil }

func (c *cluster) own() error { return nil }

// Locks are not inherited here, so Postgres has to check.
func removeStale(string) error { return nil }

// apart keeps a console's Ctrl-C from the guard.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP, HideWindow: true}
}

func lock(f *os.File) error {
	const exclusive = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), exclusive, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return errLocked
	}
	return err
}

// A lock belongs to one process here. A second server cannot open the shared memory of
// the first.
func inherit(*exec.Cmd, *os.File) {}

// Postgres has pg_ctl kill in place of signals.
type shutdown string

const (
	fast      shutdown = "INT"
	immediate shutdown = "QUIT"
)

func (p *process) send(ctx context.Context, how shutdown) {
	pid := strconv.Itoa(p.cmd.Process.Pid)
	_ = exec.CommandContext(ctx, program(p.programs, "pg_ctl"), "kill", string(how), pid).Run()
}
