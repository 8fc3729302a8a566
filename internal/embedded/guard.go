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

// How long each part of a life may take.
const (
	// A former guard has to stop its server before the folder is free, and does so within
	// stopTimeout.
	holdTimeout  = stopTimeout + 5*time.Second
	startTimeout = 90 * time.Second
	// Postgres is asked, then told, then killed.
	fastTimeout      = 10 * time.Second
	immediateTimeout = 5 * time.Second
	stopTimeout      = fastTimeout + immediateTimeout + 5*time.Second
	// A holder that lives is believed after this long; one that has just died takes its
	// name away sooner.
	beliefTimeout = 2 * time.Second
	// Between the end of a server that was not told to and its next beginning.
	restartPause = time.Second
)

var errParentGone = errors.New("the process that wanted the server is gone")

// runGuard is the guard process. It runs on the thread that the process began with, and
// starts Postgres from there: the signal that Linux sends to Postgres when the guard is
// killed is tied to that thread.
func runGuard(in io.Reader, out io.Writer) int {
	// A signal to the whole group or service is the parent's to act on: only the end of
	// the pipe ends us. They are taken and dropped, not ignored, because Postgres would
	// inherit that.
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

// guard holds the folder and runs the server until ctx ends. An error is one of the
// beginning: afterwards there is nobody to tell.
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
	// Before the server is stopped, so that a successor knows that the folder is about to
	// be free, and not after the folder is his.
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
		// Somebody has killed it, or memory or disk were full. Its users come back to the
		// same port.
		fmt.Fprintln(os.Stderr, "guard: the server has ended by itself and is started again:", c.server.err)
		if err := restart(ctx, c); err != nil {
			fmt.Fprintln(os.Stderr, "guard:", err)
		}
	}
}

// restart fails while processes of the old server are left. It is called again.
func restart(ctx context.Context, c *cluster) error {
	if err := pause(ctx, restartPause); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return c.run(ctx)
}

// roleVariable tells a process that this package has started what it is for. It is our
// own executable each time, so nothing has to be installed, and it is caught here before
// the program that it otherwise is begins.
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

// again is a command that starts our own executable in a role. Only the variable is in
// its environment.
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
