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

// errLocked is what lock returns when somebody else holds the lock.
var errLocked = errors.New("locked by another process")

// openLock opens a file and takes the lock on it. The lock ends when the file is closed
// by everybody who has it, at the latest when the last of them dies.
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

// waitForLock is openLock with patience, until ctx ends.
func waitForLock(ctx context.Context, path string) (*os.File, error) {
	for {
		f, err := openLock(path)
		if !errors.Is(err, errLocked) {
			return f, err
		}
		if err := pause(ctx, rhythm); err != nil {
			return nil, err
		}
	}
}

// rhythm is how often something is looked at that another process does and nobody
// announces.
const rhythm = 20 * time.Millisecond

// pause waits, unless ctx ends first: then it returns why.
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

// holder is what the folder says of who uses it. The lock is what counts; this is for the
// message.
type holder struct {
	PID     int
	Program string
	Since   time.Time
}

// hold takes the lock on the folder. The name beside it is removed as soon as its bearer
// is gone, so a lock without a name belongs to a server that is being stopped, and is
// waited for; one with a name is a [*HeldError].
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
		if err := pause(ctx, rhythm); err != nil {
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

// HeldError says that another process runs a server on the data folder.
type HeldError struct {
	// Dir is the folder.
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
