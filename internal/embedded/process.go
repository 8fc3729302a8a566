package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

type process struct {
	cmd      *exec.Cmd
	programs string
	done     chan struct{}
	err      error
	// log is the process's log, begun where its part begins.
	log   string
	begun int64
}

func launch(cmd *exec.Cmd, dir, programs string) (*process, error) {
	log, err := openLog(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	begun, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, programs: programs, done: make(chan struct{}), log: log.Name(), begun: begun}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) said() []byte {
	text, err := os.ReadFile(p.log)
	if err != nil || int64(len(text)) < p.begun {
		return nil
	}
	return bytes.TrimSpace(text[p.begun:])
}

// stop tries a fast shutdown, unless hurry is set, an immediate one, then kill.
func (p *process) stop(hurry bool) {
	if !hurry && p.signal(fast, fastTimeout) {
		return
	}
	if p.signal(immediate, immediateTimeout) {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}

func (p *process) signal(how shutdown, patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p.send(ctx, how)
	select {
	case <-p.done:
		return true
	case <-ctx.Done():
		return false
	}
}

var errPortTaken = errors.New("no port on 127.0.0.1 stays free long enough to be used: start again")

var remedies = []struct {
	says string
	err  error
}{
	{"could not bind", errPortTaken},
	{"could not look up effective user ID",
		errors.New("the server Postgres needs a name for the user that it runs as, and this one has none on this machine: " +
			"add a line for its number to /etc/passwd, start as another user, or use a Postgres that runs already (STORAGE_DRIVER=db, DATABASE_URL)")},
	{"No space left on device", errors.New("the disk is full: make room, or choose a folder elsewhere (DATA_DIR)")},
	{"Disk quota exceeded",
		errors.New("the disk quota is used up: make room, or choose a folder elsewhere (DATA_DIR)")},
	{"Permission denied",
		errors.New("a permission is missing: choose a folder that this user may write to (DATA_DIR)")},
}

// explain adds the end of the output and the remedy, if known.
func explain(said []byte, err error) error {
	said = bytes.TrimSpace(said)
	const end = 2000
	tail := said
	if len(tail) > end {
		tail = append([]byte("…"), tail[len(tail)-end:]...)
	}
	for _, r := range remedies {
		if bytes.Contains(said, []byte(r.says)) {
			return fmt.Errorf("%w (%w); Postgres says:\n%s", r.err, err, tail)
		}
	}
	return fmt.Errorf("%w; Postgres says:\n%s", err, tail)
}

type identity struct {
	name string
	// Go changes the user between fork and exec.
	attributes func() *syscall.SysProcAttr
	// uid and gid own the files, as seen from here; negative leaves owners as they are.
	uid, gid int
	// outside: the folder's usual mode does not let the user in.
	outside bool
	// late: the right to enter it takes effect only when the program runs.
	late bool
}

// identify chooses the user by running one of the programs.
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
