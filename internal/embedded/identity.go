package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
)

type identity struct {
	name string
	// attributes are those of the processes; Go changes the user between fork and exec.
	attributes func() *syscall.SysProcAttr
	// uid and gid own the files, as seen from this process. If negative, owners stay as
	// they are.
	uid, gid int
	// outside: the user may not enter the folder with its usual mode.
	outside bool
	// late: the right to enter the folder takes effect only when the program runs.
	late bool
}

// identify chooses the user by running one of the programs in the folder.
func (c *cluster) identify(ctx context.Context) (identity, error) {
	candidates, err := identities(c.data())
	if err != nil {
		return identity{}, err
	}
	var failed []string
	for _, who := range candidates {
		if err = c.try(ctx, who); err == nil {
			return who, nil
		}
		failed = append(failed, who.name+": "+err.Error())
	}
	if len(candidates) == 1 {
		return identity{}, fmt.Errorf("run Postgres: %w", err)
	}
	return identity{}, fmt.Errorf("choose its user: Postgres does not run as root, and nothing else works here (%s): start as an ordinary user, "+
		"or use a Postgres that runs already (STORAGE_DRIVER=db, DATABASE_URL)", strings.Join(failed, "; "))
}

func (c *cluster) try(ctx context.Context, who identity) (failed error) {
	if who.outside {
		shutAgain, err := letIn(c.dir)
		if err != nil {
			return err
		}
		defer func() {
			if failed != nil {
				shutAgain()
			}
		}()
	}
	cmd := (&cluster{dir: c.dir, programs: c.programs, held: c.held, who: who}).command(ctx, "postgres", "--version")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	case errors.Is(err, syscall.ENOSPC):
		// ENOSPC is a limit of user namespaces here.
		return errors.New("no more of them are allowed")
	}
	return err
}
