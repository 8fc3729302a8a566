package embedded

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// order is the first line on the pipe to the guard.
type order struct {
	Dir, Programs string
	Ephemeral     bool
	Settings      []string
	Holder        holder
}

type report struct {
	URL   string
	Held  *HeldError
	Error string
}

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
	// The guard's own failures go there too. With our stderr, a program that waits for
	// its end would wait for the guard.
	defer func() { _ = log.Close() }()
	// Without ctx: the guard ends with its pipe.
	cmd, err := again(context.Background(), roleGuard)
	if err != nil {
		return nil, err
	}
	// Only what programs and their libraries need: the server must not get the host's
	// secrets, and variables such as PGPORT would change it.
	for _, name := range []string{"PATH", "HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "TMP", "TEMP",
		"SystemRoot", "USERPROFILE"} {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.Env = append(cmd.Env, "LC_ALL=C")
	// The current folder may be removed or unmounted.
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

func (g *guarded) ready(ctx context.Context) (string, error) {
	select {
	case <-ctx.Done():
		return "", fmt.Errorf("start Postgres: %w", context.Cause(ctx))
	case a := <-g.answers:
		switch {
		case a.err != nil:
			return "", fmt.Errorf("the guard ended without a report: %w", a.err)
		case a.report.Held != nil:
			return "", a.report.Held
		case a.report.Error != "":
			return "", errors.New(a.report.Error)
		}
		return a.report.URL, nil
	}
}

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

// A log over 10 MB is truncated.
func openLog(dir string) (*os.File, error) {
	const grown = 10 << 20
	path := filepath.Join(dir, logFile)
	flags := os.O_CREATE | os.O_WRONLY | os.O_APPEND
	if info, err := os.Stat(path); err == nil && info.Size() > grown {
		flags |= os.O_TRUNC
	}
	return os.OpenFile(path, flags, 0o600)
}

const (
	holdTimeout      = stopTimeout + 5*time.Second
	startTimeout     = 90 * time.Second
	fastTimeout      = 10 * time.Second
	immediateTimeout = 5 * time.Second
	stopTimeout      = fastTimeout + immediateTimeout + 5*time.Second
	// beliefTimeout is how long a holder file has to stay before its process is believed
	// to be alive: that of a killed process is removed sooner.
	beliefTimeout = 2 * time.Second
	restartPause  = time.Second
)

var errParentGone = errors.New("the parent process is gone")

// runGuard starts Postgres from the main thread: Linux sends the signal for the guard's
// death when the starting thread ends.
func runGuard(in io.Reader, out io.Writer) int {
	// Signals to the group or the service are for the parent. They are not ignored,
	// because Postgres would inherit that.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	pipe := bufio.NewReader(in)
	line, err := pipe.ReadBytes('\n')
	if err != nil {
		return 1
	}
	ctx, gone := context.WithCancelCause(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, pipe)
		gone(errParentGone)
	}()
	var o order
	if err := json.Unmarshal(line, &o); err != nil {
		return 1
	}
	answer := func(r report) { _ = json.NewEncoder(out).Encode(r) }
	if err := guard(ctx, o, answer); err != nil {
		var held *HeldError
		if errors.As(err, &held) {
			answer(report{Held: held})
		} else {
			answer(report{Error: err.Error()})
		}
		return 1
	}
	return 0
}

// guard runs the server until ctx ends. It returns an error only before the start.
func guard(ctx context.Context, o order, answer func(report)) error {
	held, err := hold(ctx, o.Dir, o.Holder)
	if err != nil {
		return err
	}
	defer func() { _ = held.Close() }()
	if o.Ephemeral {
		defer func() { _ = os.RemoveAll(o.Dir) }()
	}
	unsign := func() { _ = os.Remove(filepath.Join(o.Dir, holderFile)) }
	// Removed before the server is stopped, so that the next host waits for the folder,
	// and never after the next host has written its own.
	unsigned := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(unsigned)
		unsign()
	})
	defer func() {
		unsign()
		if ctx.Err() != nil {
			<-unsigned
		}
	}()

	c := &cluster{dir: o.Dir, programs: o.Programs, ephemeral: o.Ephemeral, settings: o.Settings, held: held}
	starting, cancel := context.WithTimeoutCause(ctx, startTimeout, errors.New("it took too long"))
	defer cancel()
	url, err := c.start(starting)
	if err != nil {
		return err
	}
	answer(report{URL: url})
	for {
		select {
		case <-ctx.Done():
			c.server.stop(o.Ephemeral)
			return nil
		case <-c.server.done:
		}
		// Clients reconnect to the same port.
		fmt.Fprintln(os.Stderr, "guard: the server ended and is started again:", c.server.err)
		if err := restart(ctx, c); err != nil {
			fmt.Fprintln(os.Stderr, "guard:", err)
		}
	}
}

// restart fails while processes of the old server are left; the caller repeats it.
func restart(ctx context.Context, c *cluster) error {
	if err := pause(ctx, restartPause); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return c.run(ctx)
}

// roleVariable makes this executable a helper process before main runs, so that nothing
// has to be installed.
const roleVariable = "BOOKING_PLATFORM_EMBEDDED_ROLE"

const (
	roleGuard = "guard"
	roleFetch = "fetch"
)

func init() {
	switch os.Getenv(roleVariable) {
	case roleGuard:
		os.Exit(runGuard(os.Stdin, os.Stdout))
	case roleFetch:
		os.Exit(runFetch(os.Stdin, os.Stdout))
	}
}

func again(ctx context.Context, role string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find our own executable: %w", err)
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Args[0] = "booking-platform-" + role
	cmd.Env = []string{roleVariable + "=" + role}
	return cmd, nil
}
