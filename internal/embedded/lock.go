package embedded

import (
	"context"
	"errors"
	"os"
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
