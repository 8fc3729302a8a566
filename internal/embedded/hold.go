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
