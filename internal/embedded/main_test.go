package embedded_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
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

// childVariable makes this test binary run a server until it is killed.
const childVariable = "EMBEDDED_TEST_CHILD"

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		child(text)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "booking-embedded-test-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	self = filepath.Join(dir, "test")
	if err := copySelf(dir); err != nil {
		panic(err)
	}
	return m.Run()
}

// self is a copy of this binary that every user can run. It is written before the tests
// start: a program cannot be executed while a process, even one about to exec, has it
// open for writing.
var self string

func copySelf(dir string) error {
	original, err := os.Executable()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(original)
	if err != nil {
		return err
	}
	return errors.Join(os.Chmod(dir, 0o755), os.WriteFile(self, text, 0o755))
}

// life is the child's order.
type life struct {
	Dir      string
	Opts     embedded.Options
	Patience time.Duration
	// NoNamespaces forbids user namespaces first.
	NoNamespaces bool
	// Ask returns the settings of a session that connects as a program does.
	Ask bool
}

type started struct {
	URL, Version, Programs string
	Error, Settings        string
	Held                   *embedded.HeldError
}

func child(text string) {
	var l life
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		panic(err)
	}
	if l.NoNamespaces {
		if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
			panic(err)
		}
	}
	ctx := context.Background()
	if l.Patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, l.Patience)
		defer cancel()
	}
	answer := started{}
	server, err := embedded.Start(ctx, l.Dir, l.Opts)
	if err != nil {
		answer.Error = err.Error()
	} else {
		answer.URL, answer.Version, answer.Programs = server.URL(), server.Version(), server.Programs()
		if l.Ask {
			answer.Settings = settings(server.URL())
		}
	}
	_ = json.NewEncoder(os.Stdout).Encode(answer)
	// The test holds the other end.
	_, _ = io.Copy(io.Discard, os.Stdin)
	if server != nil {
		if err := server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(0)
}

// settings returns those that the environment could change, or the connection's error.
func settings(databaseURL string) (settings string) {
	db, err := sql.Open("postgres", databaseURL)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = db.Close() }()
	err = db.QueryRow(`SELECT concat_ws(', ', current_user, current_database(), current_setting('datestyle'),
		current_setting('client_encoding'), current_setting('timezone'), current_setting('search_path'),
		current_setting('lc_messages'), d.datcollate, pg_encoding_to_char(d.encoding))
		FROM pg_database d WHERE d.datname = current_database()`).Scan(&settings)
	if err != nil {
		return err.Error()
	}
	return settings
}

type running struct {
	started
	cmd *exec.Cmd
	in  io.Closer
}

// spawn starts a child, as another user if as is set.
func spawn(t *testing.T, l life, as *syscall.SysProcAttr, env ...string) *running {
	t.Helper()
	text, err := json.Marshal(l)
	require.NoError(t, err)
	cmd := exec.Command(self)
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

func (r *running) kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

// open makes a folder that every user may enter and only this one may write to.
func open(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "booking-embedded-test-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() {
		// A server may be stopping in it.
		eventually(t, "the folder "+dir+" can be removed", func() bool { return os.RemoveAll(dir) == nil })
	})
	return dir
}

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
