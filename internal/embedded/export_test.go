package embedded

import (
	"context"
	"path/filepath"
	"runtime"
)

// Folder is that of some programs on this machine, fetched ones where it has no other.
func Folder(ctx context.Context) (string, error) {
	p, err := choose(ctx, "", Options{Logger: discard})
	return p.Folder, err
}

// RunOn starts a server on a port of the caller's, in this process, and stops it again.
func RunOn(ctx context.Context, dir string, port int) error {
	folder, err := Folder(ctx)
	if err != nil {
		return err
	}
	held, err := openLock(filepath.Join(dir, lockFile))
	if err != nil {
		return err
	}
	defer func() { _ = held.Close() }()
	c := &cluster{dir: dir, programs: folder, ephemeral: true, held: held}
	if c.who, err = c.identify(ctx); err != nil {
		return err
	}
	if err := c.create(ctx); err != nil {
		return err
	}
	// The signal for the death of the thread that started it would come too early.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c.port = port
	if err := c.run(ctx); err != nil {
		return err
	}
	c.server.stop(true)
	return nil
}

// ErrPortTaken leads to another port.
var ErrPortTaken = errPortTaken

// Explain is what becomes of what a program said and the error it ended with.
var Explain = explain

// OnMachine lists the folders with programs, for a PATH and patterns of the caller's.
func OnMachine(ctx context.Context, path string, patterns ...string) []string {
	var folders []string
	for _, p := range onMachine(ctx, path, patterns) {
		folders = append(folders, p.Folder)
	}
	return folders
}
