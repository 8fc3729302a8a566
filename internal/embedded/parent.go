package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// order is what the guard is told, in one line on the pipe that tells it by its end that
// the parent is gone.
type order struct {
	Dir, Programs string
	Ephemeral     bool
	Settings      []string
	Holder        holder
}

// report is what the guard answers when the server can be used, or will never be.
type report struct {
	URL   string
	Held  *HeldError
	Error string
}

// guarded is the guard as its parent sees it.
type guarded struct {
	cmd     *exec.Cmd
	pipe    io.Closer
	answers chan answer
}

type answer struct {
	report report
	err    error
}

func startGuard(o order) (*guarded, error) {
	log, err := openLog(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open Postgres's log: %w", err)
	}
	// What the guard has to say when it fails in an unforeseen way stands there too. It
	// must not have our stderr: who waits for that to end would wait for the guard.
	defer func() { _ = log.Close() }()
	// Without our context, whose end would kill it. It ends when its pipe does.
	cmd, err := again(context.Background(), roleGuard)
	if err != nil {
		return nil, err
	}
	// The names that programs and their libraries need to be found and to find
	// themselves. Our secrets are none of the server's business, and variables such as
	// PGPORT would change it.
	for _, name := range []string{"PATH", "HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "TMP", "TEMP",
		"SystemRoot", "USERPROFILE"} {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.Env = append(cmd.Env, "LC_ALL=C")
	// Not in ours, which somebody may want to remove or unmount.
	cmd.Dir = os.TempDir()
	cmd.Stderr = log
	cmd.SysProcAttr = apart()
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the guard: %w", err)
	}
	g := &guarded{cmd: cmd, pipe: pipe, answers: make(chan answer, 1)}
	go func() {
		var a answer
		if a.err = json.NewEncoder(pipe).Encode(o); a.err == nil {
			a.err = json.NewDecoder(out).Decode(&a.report)
		}
		g.answers <- a
	}()
	return g, nil
}

// ready waits for the guard's answer.
func (g *guarded) ready(ctx context.Context) (string, error) {
	select {
	case <-ctx.Done():
		return "", fmt.Errorf("start Postgres: %w", context.Cause(ctx))
	case a := <-g.answers:
		switch {
		case a.err != nil:
			return "", fmt.Errorf("the guard ended without a word: %w", a.err)
		case a.report.Held != nil:
			return "", a.report.Held
		case a.report.Error != "":
			return "", errors.New(a.report.Error)
		}
		return a.report.URL, nil
	}
}

// stop ends the pipe and waits for the guard, which is done when nothing runs any more.
func (g *guarded) stop() error {
	_ = g.pipe.Close()
	ended := make(chan error, 1)
	go func() { ended <- g.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("embedded: stop Postgres: %w", err)
		}
		return nil
	case <-time.After(stopTimeout + stopTimeout/2):
		return fmt.Errorf("embedded: stop Postgres: process %d still runs", g.cmd.Process.Pid)
	}
}

const logFile = "postgres.log"

// openLog opens the log that Postgres and the guard write to. It starts anew when it has
// grown.
func openLog(dir string) (*os.File, error) {
	const grown = 10 << 20
	path := filepath.Join(dir, logFile)
	flags := os.O_CREATE | os.O_WRONLY | os.O_APPEND
	if info, err := os.Stat(path); err == nil && info.Size() > grown {
		flags |= os.O_TRUNC
	}
	return os.OpenFile(path, flags, 0o600)
}
