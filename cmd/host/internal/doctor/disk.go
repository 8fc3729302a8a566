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

// How much is free where the embedded Postgres has its data: with less than the first it
// stops soon, with less than the second it may within days.
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
		return []Finding{ok(Disk, "what is free on the disk cannot be asked on this system")}, nil
	}
	if err != nil {
		return nil, err
	}
	const remedy = "Make room on the disk of DATA_DIR, or set DATA_DIR to a folder on another one."
	found := fmt.Sprintf("%d MB are free on the disk of DATA_DIR", free>>20)
	switch {
	case free < diskProblem:
		return []Finding{problem(Disk, found+": Postgres stops when it is full", remedy)}, nil
	case free < diskWarning:
		return []Finding{warning(Disk, found, remedy)}, nil
	}
	return []Finding{ok(Disk, found)}, nil
}

// existing is the folder itself, or the nearest one above that is there: the first start
// makes the rest.
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

// dataDir looks at who may read and write the folder of the embedded Postgres.
func (e *examination) dataDir(context.Context) ([]Finding, error) {
	dir, err := filepath.Abs(e.Config.DataDir)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Finding{ok(DataDir, dir+" is made at the first start")}, nil
	case err != nil:
		return nil, err
	case !info.IsDir():
		return []Finding{problem(DataDir, dir+" is not a folder", "Move that file away, or set DATA_DIR to a folder.")},
			nil
	}
	// Windows has no such bits.
	if runtime.GOOS == "windows" {
		return []Finding{ok(DataDir, dir)}, nil
	}
	if info.Mode().Perm()&0o022 != 0 {
		return []Finding{warning(DataDir, fmt.Sprintf("%s may be changed by other users (%s)", dir, info.Mode().Perm()),
			"Take the right from them: chmod go-w on that folder.")}, nil
	}
	for _, name := range []string{"password", "session_secret"} {
		file, err := os.Stat(filepath.Join(dir, name))
		if err == nil && file.Mode().Perm()&0o077 != 0 {
			return []Finding{warning(DataDir, fmt.Sprintf("%s holds a secret and is open to other users (%s)",
				filepath.Join(dir, name), file.Mode().Perm()),
				"Take the right from them: chmod 600 on that file.")}, nil
		}
	}
	return []Finding{ok(DataDir, dir)}, nil
}
