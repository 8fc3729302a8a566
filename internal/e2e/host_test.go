package e2e

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/stretchr/testify/require"
)

// hostReceiver is the hosts' name in the ledger, whose package config is internal.
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

// tests removes the binary's folder after the tests.
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

// startProgram runs a host with only this environment, on a free port, and waits for its
// address.
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

func (h *host) kill() {
	_ = h.cmd.Process.Kill()
	<-h.done
}

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

const (
	stripeKey     = "sk_test_e2e"
	webhookSecret = "whsec_e2e"
)

// stripeWorld is a Stripe outside the host, which it outlives. Its webhooks go through a
// relay: the host's address changes at each start.
type stripeWorld struct {
	*stripetest.Server
	api         string
	key, secret string
	target      atomic.Pointer[string]
	ahead       atomic.Int64 // nanoseconds by which its clock is ahead
}

// goAhead sets the clock forward.
func (w *stripeWorld) goAhead(d time.Duration) {
	w.ahead.Add(int64(d))
	w.Advance(d)
}

func newStripe(t *testing.T, opts stripetest.Options) *stripeWorld {
	t.Helper()
	w := &stripeWorld{}
	relay := httptest.NewServer(http.HandlerFunc(w.relay))
	t.Cleanup(relay.Close)
	opts.WebhookURL = relay.URL
	opts.SecretKey, opts.WebhookSecret = cmp.Or(opts.SecretKey, stripeKey), cmp.Or(opts.WebhookSecret, webhookSecret)
	w.key, w.secret = opts.SecretKey, opts.WebhookSecret
	opts.Backoff = []time.Duration{100 * time.Millisecond}
	var err error
	w.Server, err = stripetest.New(opts)
	require.NoError(t, err)
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Date", time.Now().Add(time.Duration(w.ahead.Load())).UTC().Format(http.TimeFormat))
		w.ServeHTTP(rw, r)
	}))
	t.Cleanup(api.Close)
	w.api = api.URL
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return w
}

func (w *stripeWorld) pointAt(h *host) { w.target.Store(&h.base) }

// A host that does not answer is a 502, as from a proxy.
func (w *stripeWorld) relay(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	target := w.target.Load()
	if err != nil || target == nil {
		rw.WriteHeader(http.StatusBadGateway)
		return
	}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, *target+"/webhook", bytes.NewReader(body))
	if err != nil {
		rw.WriteHeader(http.StatusBadGateway)
		return
	}
	req.Header = r.Header.Clone()
	if ahead := time.Duration(w.ahead.Load()); ahead != 0 {
		req.Header.Set("Stripe-Signature", stripetest.Sign(body, w.secret, time.Now().Add(ahead)))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		rw.WriteHeader(http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	rw.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(rw, resp.Body)
}

func (w *stripeWorld) env(database string) map[string]string {
	return map[string]string{
		"DATABASE_URL": database, "STORAGE_DRIVER": "db",
		"STRIPE_SECRET_KEY": w.key, "STRIPE_WEBHOOK_SECRET": w.secret, "STRIPE_API_BASE": w.api,
	}
}
