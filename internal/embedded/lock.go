package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

var errLocked = errors.New("locked by another process")

// openLock opens a file and takes the lock on it, which lasts until every process that
// has the file open has closed it or died.
func openLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func waitForLock(ctx context.Context, path string) (*os.File, error) {
	for {
		f, err := openLock(path)
		if !errors.Is(err, errLocked) {
			return f, err
		}
		if err := pause(ctx, pollInterval); err != nil {
			return nil, err
		}
	}
}

const pollInterval = 20 * time.Millisecond

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

const (
	lockFile   = "lock"
	holderFile = "holder.json"
)

// holder is for messages only: the lock decides.
type holder struct {
	// PID, Program and Since describe the process that started the server. They are zero
	// if unknown.
	PID     int
	Program string
	Since   time.Time
}

// hold takes the lock on the folder. The guard removes the holder file as soon as its
// parent is gone, so a lock without that file belongs to a server that is stopping, and
// hold waits for it. A lock with that file is a [*HeldError].
func hold(ctx context.Context, dir string, who holder) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, holdTimeout)
	defer cancel()
	var named time.Time
	for {
		held, err := openLock(filepath.Join(dir, lockFile))
		if err == nil {
			who.Since = time.Now()
			return held, sign(dir, who)
		}
		if !errors.Is(err, errLocked) {
			return nil, fmt.Errorf("lock the data folder: %w", err)
		}
		other, known := readHolder(dir)
		switch {
		case !known:
			named = time.Time{}
		case named.IsZero():
			named = time.Now()
		case time.Since(named) > beliefTimeout:
			return nil, &HeldError{Dir: dir, PID: other.PID, Program: other.Program, Since: other.Since}
		}
		if err := pause(ctx, pollInterval); err != nil {
			return nil, &HeldError{Dir: dir}
		}
	}
}

func sign(dir string, who holder) error {
	text, err := json.Marshal(who)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, holderFile), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("sign the data folder: %w", err)
	}
	return nil
}

func readHolder(dir string) (holder, bool) {
	var who holder
	text, err := os.ReadFile(filepath.Join(dir, holderFile))
	return who, err == nil && json.Unmarshal(text, &who) == nil
}

// HeldError reports that another process runs a server on the data folder.
type HeldError struct {
	Dir string
	// PID is the process that started the server, Program its name and Since when it did;
	// zero where it is not known.
	PID     int
	Program string
	Since   time.Time
}

func (e *HeldError) Error() string {
	who := "another process"
	if e.PID != 0 {
		who = fmt.Sprintf("process %d (%s), since %s", e.PID, e.Program, e.Since.UTC().Format(time.DateTime+" UTC"))
	}
	return fmt.Sprintf("the data folder %s is in use by %s: stop that, or choose another folder (DATA_DIR)", e.Dir, who)
}
