package e2e

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
)

// hostReceiver is the name under which hosts keep events in the ledger; package config of
// the host is internal to it.
const hostReceiver = "host"

// binary is built once, by the first test that needs it.
var binary = struct {
	once sync.Once
	path string
	err  error
	out  []byte
}{}

func TestMain(m *testing.M) {
	beSQL()
	dir, err := os.MkdirTemp("", "booking-host-")
	if err != nil {
		panic(err)
	}
	binary.path = filepath.Join(dir, "host")
	testdb.Main(tests{m, dir})
}

// tests are this package's, with the folder of the binary, which is removed after them.
type tests struct {
	*testing.M
	dir string
}

func (m tests) Run() int {
	defer os.RemoveAll(m.dir)
	return m.M.Run()
}

// host is a running process.
type host struct {
	t    *testing.T
	cmd  *exec.Cmd
	base string
	done chan struct{}
	mu   sync.Mutex
	log  []string
}

var address = regexp.MustCompile(`http://[0-9.:]+`)

// hostBinary builds the host, and returns its path.
func hostBinary(t *testing.T) string {
	t.Helper()
	binary.once.Do(func() {
		binary.out, binary.err = exec.Command("go", "build", "-o", binary.path, "../../cmd/host").CombinedOutput()
	})
	require.NoError(t, binary.err, string(binary.out))
	return binary.path
}

func startHost(t *testing.T, env map[string]string) *host {
	t.Helper()
	return startProgram(t, hostBinary(t), env)
}

// startProgram runs a host with only the given environment, on a free port, and waits for
// the line with its address.
func startProgram(t *testing.T, program string, env map[string]string) *host {
	t.Helper()
	h := &host{t: t, cmd: exec.Command(program), done: make(chan struct{})}
	home := t.TempDir()
	h.cmd.Dir = home
	h.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + os.TempDir(), "PORT=0",
		"METRICS_ADDR=off"}
	for k, v := range env {
		h.cmd.Env = append(h.cmd.Env, k+"="+v)
	}
	stdout, err := h.cmd.StdoutPipe()
	require.NoError(t, err)
	stderr, err := h.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, h.cmd.Start())
	found := make(chan string, 1)
	var readers sync.WaitGroup
	readers.Go(func() {
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			h.note(lines.Text())
			if url := address.FindString(lines.Text()); url != "" {
				select {
				case found <- url:
				default:
				}
			}
		}
	})
	readers.Go(func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			h.note(lines.Text())
		}
	})
	go func() {
		readers.Wait()
		_ = h.cmd.Wait()
		close(h.done)
	}()
	t.Cleanup(func() {
		h.kill()
		if t.Failed() {
			t.Log("host:\n" + h.logs())
		}
	})
	select {
	case h.base = <-found:
	case <-h.done:
		t.Fatal("the host ended:\n" + h.logs())
	case <-time.After(60 * time.Second):
		t.Fatal("the host did not say where it is:\n" + h.logs())
	}
	return h
}

// kill is kill -9, and waits for the end of the process.
func (h *host) kill() {
	_ = h.cmd.Process.Kill()
	<-h.done
}

// stop is SIGTERM, and waits for the end of the process.
func (h *host) stop() {
	h.t.Helper()
	require.NoError(h.t, h.cmd.Process.Signal(os.Interrupt))
	select {
	case <-h.done:
	case <-time.After(30 * time.Second):
		h.t.Fatal("the host did not stop")
	}
}

func (h *host) note(line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = append(h.log, line)
}

func (h *host) logs() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.log, "\n")
}

// eventually polls a condition, with a deadline.
func eventually(t *testing.T, what string, condition func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition(ctx) {
		select {
		case <-ctx.Done():
			t.Fatal("never: " + what)
		case <-tick.C:
		}
	}
}
