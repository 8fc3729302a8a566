package embedded

import (
	"context"
	"path/filepath"
	"runtime"
)

func Folder(ctx context.Context) (string, error) {
	p, err := choose(ctx, "", Options{Logger: discard})
	return p.Folder, err
}

// RunOn starts and stops a server on a given port, in this process.
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
	// Linux would signal the server when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c.port = port
	if err := c.run(ctx); err != nil {
		return err
	}
	c.server.stop(true)
	return nil
}

// ErrPortTaken is answered by another port.
var ErrPortTaken = errPortTaken

var Explain = explain

func OnMachine(ctx context.Context, path string, patterns ...string) []string {
	var folders []string
	for _, p := range onMachine(ctx, path, patterns) {
		folders = append(folders, p.Folder)
	}
	return folders
}
