package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

const (
	diskProblem = 256 << 20
	diskWarning = 1 << 30
)

func (e *examination) disk(context.Context) ([]Finding, error) {
	dir, err := existing(e.Config.DataDir)
	if err != nil {
		return nil, err
	}
	free, err := e.FreeSpace(dir)
	if errors.Is(err, errors.ErrUnsupported) {
		return []Finding{ok(Disk, "free disk space is unknown on this system")}, nil
	}
	if err != nil {
		return nil, err
	}
	const remedy = "Free space on the disk of DATA_DIR, or set DATA_DIR to another disk."
	found := fmt.Sprintf("%d MB are free on the disk of DATA_DIR", free>>20)
	switch {
	case free < diskProblem:
		return []Finding{problem(Disk, found+": Postgres stops when it is full", remedy)}, nil
	case free < diskWarning:
		return []Finding{warning(Disk, found, remedy)}, nil
	}
	return []Finding{ok(Disk, found)}, nil
}

// existing returns the folder or its nearest existing parent.
func existing(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return dir, err
		}
		dir = filepath.Dir(dir)
	}
}

// dataDir checks the permissions of the folder of the embedded Postgres.
func (e *examination) dataDir(context.Context) ([]Finding, error) {
	dir, err := filepath.Abs(e.Config.DataDir)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Finding{ok(DataDir, dir+" is created at the first start")}, nil
	case err != nil:
		return nil, err
	case !info.IsDir():
		return []Finding{problem(DataDir, dir+" is not a folder", "Move that file away, or set DATA_DIR to a folder.")},
			nil
	}
	if runtime.GOOS == "windows" {
		return []Finding{ok(DataDir, dir)}, nil
	}
	if info.Mode().Perm()&0o022 != 0 {
		return []Finding{warning(DataDir, fmt.Sprintf("%s may be changed by other users (%s)", dir, info.Mode().Perm()),
			"Run chmod go-w on that folder.")}, nil
	}
	for _, name := range []string{"password", "session_secret"} {
		file, err := os.Stat(filepath.Join(dir, name))
		if err == nil && file.Mode().Perm()&0o077 != 0 {
			return []Finding{warning(DataDir, fmt.Sprintf("%s holds a secret and is open to other users (%s)",
				filepath.Join(dir, name), file.Mode().Perm()),
				"Run chmod 600 on that file.")}, nil
		}
	}
	return []Finding{ok(DataDir, dir)}, nil
}
