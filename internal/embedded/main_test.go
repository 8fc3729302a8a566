package embedded_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/embedded"
)

// childVariable makes this test binary a program that runs a server and waits to be killed.
const childVariable = "EMBEDDED_TEST_CHILD"

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		child(text)
	}
	os.Exit(m.Run())
}

// life is what a child is told to do, and started what it answers.
type life struct {
	Dir  string
	Opts embedded.Options
}

type started struct {
	URL, Version, Programs string
	Error                  string
	Held                   *embedded.HeldError
}

func child(text string) {
	var l life
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		panic(err)
	}
	answer := started{}
	server, err := embedded.Start(context.Background(), l.Dir, l.Opts)
	if err != nil {
		answer.Error = err.Error()
	} else {
		answer.URL, answer.Version, answer.Programs = server.URL(), server.Version(), server.Programs()
	}
	_ = json.NewEncoder(os.Stdout).Encode(answer)
	// The test holds the other end for as long as it lives.
	_, _ = io.Copy(io.Discard, os.Stdin)
	if server != nil {
		if err := server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(0)
}

// running is a child.
type running struct {
	started
	cmd *exec.Cmd
	in  io.Closer
}

// spawn starts a child and waits for its answer; as is whom it runs as, nil ourselves.
func spawn(t *testing.T, l life, as *syscall.SysProcAttr, env ...string) *running {
	t.Helper()
	text, err := json.Marshal(l)
	require.NoError(t, err)
	cmd := exec.Command(self(t))
	cmd.Dir = "/"
	cmd.Env = append(append(os.Environ(), env...), childVariable+"="+string(text))
	cmd.SysProcAttr = as
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	r := &running{cmd: cmd, in: in}
	t.Cleanup(r.kill)
	require.NoError(t, json.NewDecoder(bufio.NewReader(out)).Decode(&r.started))
	return r
}

// kill is kill -9.
func (r *running) kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

// self is a copy of this binary that every user can run: the original lies in a folder that is closed to others.
func self(t *testing.T) string {
	t.Helper()
	to := filepath.Join(open(t), "test")
	from, err := os.Executable()
	require.NoError(t, err)
	source, err := os.Open(from)
	require.NoError(t, err)
	defer func() { _ = source.Close() }()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	require.NoError(t, err)
	_, err = io.Copy(target, source)
	require.NoError(t, err)
	require.NoError(t, target.Close())
	return to
}

// open is a temporary folder that every user may enter and nobody else may write to.
func open(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "booking-embedded-test-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() {
		// What runs in it may be about to stop.
		eventually(t, "the folder "+dir+" can be removed", func() bool { return os.RemoveAll(dir) == nil })
	})
	return dir
}

// eventually polls a condition, with a deadline.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
