//go:build linux

package security

import (
	"bytes"
	"database/sql"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/hostprocess"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

const (
	public        = "https://booking.example.com"
	stripeKey     = "sk_test_of_the_security_tests"
	webhookSecret = "whsec_of_the_security_tests"
	sessionSecret = "the session secret of the security tests"
	perAddress    = 8
)

// cluster is three hosts on one Postgres, behind a proxy.
type cluster struct {
	program, proxy string
	authority      authority
	hosts          []*host
	stripe         *stripetest.Server
	// db is to inspect rows and to move times into the past.
	db  *sql.DB
	env []string
	// serial makes names unique.
	serial atomic.Int64
	notes
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	program, err := hostprocess.Build(t.Context(), t.TempDir())
	require.NoError(t, err)
	database := testdb.URL(t)
	c := &cluster{program: program, db: testdb.Open(t, testdb.PQ, database)}
	c.authority = newAuthority(t, "booking.example.com", "api.stripe.com")
	var way string
	c.stripe, way = newStripe(t, c.authority)
	c.env = []string{
		"APP_ENV=production", "APP_URL=" + public, "BIND_ADDRESS=127.0.0.1", "PORT=0", "METRICS_ADDR=127.0.0.1:0",
		"DATABASE_URL=" + database, "DATABASE_POOL=10", "SESSION_SECRET=" + sessionSecret,
		"STRIPE_SECRET_KEY=" + stripeKey, "STRIPE_WEBHOOK_SECRET=" + webhookSecret, "HTTPS_PROXY=" + way,
		"SSL_CERT_FILE=" + c.authority.file,
		// Clients use other addresses than the proxy, and are not trusted as proxies.
		"TRUST_PROXY=127.0.0.1", fmt.Sprintf("HOLDS_PER_ADDRESS=%d", perAddress),
	}
	for range 3 {
		c.hosts = append(c.hosts, c.start(t))
	}
	for _, h := range c.hosts {
		h.await(t)
	}
	c.proxy = newProxy(t, c.authority, c.hosts)
	c.know("a secret of the configuration", sessionSecret, stripeKey, webhookSecret)
	return c
}

// host is one process. In production it prints its address only to the log, which
// internal/hostprocess does not read. base is its address without the proxy, metrics its
// private one.
type host struct {
	base, metrics string
	log           logBook
	ended         chan struct{}
}

func (c *cluster) start(t *testing.T) *host {
	t.Helper()
	h := &host{ended: make(chan struct{})}
	cmd := exec.Command(c.program)
	cmd.Dir, cmd.Env, cmd.Stderr, cmd.Stdout = t.TempDir(), c.env, &h.log, &h.log
	require.NoError(t, cmd.Start())
	go func() { defer close(h.ended); _ = cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-h.ended:
		case <-time.After(30 * time.Second):
			_ = cmd.Process.Kill()
			t.Error("a host did not end")
		}
		if log := h.log.String(); t.Failed() {
			t.Log("the end of a host's log:\n" + log[max(0, len(log)-2000):])
		}
	})
	return h
}

var (
	serving = regexp.MustCompile(`"msg":"serving","address":"([^"]+)"`)
	scraped = regexp.MustCompile(`"msg":"metrics","address":"([^"]+)"`)
)

func (h *host) await(t *testing.T) {
	t.Helper()
	var address []string
	eventually(t, "a host says where it is, or ends", func() bool {
		address = serving.FindStringSubmatch(h.log.String())
		select {
		case <-h.ended:
			return true
		default:
			return address != nil
		}
	})
	require.NotNil(t, address, "a host ended:\n%s", h.log.String())
	metrics := scraped.FindStringSubmatch(h.log.String())
	require.NotNil(t, metrics)
	h.base, h.metrics = address[1], metrics[1]
}

func (c *cluster) command(t *testing.T, in string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.program, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = filepath.Dir(c.program), c.env, strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

func (c *cluster) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	_, err := c.db.ExecContext(t.Context(), query, args...)
	require.NoError(t, err)
}

// addResource adds one for this test: 25.00 EUR, every hour of the next weeks.
func (c *cluster) addResource(t *testing.T) string {
	t.Helper()
	slug := fmt.Sprintf("studio-%d", c.serial.Add(1))
	var hours []string
	for _, day := range []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"} {
		hours = append(hours, fmt.Sprintf("%q: [%q]", day, "0:00-24:00"))
	}
	c.command(t, fmt.Sprintf(`{"slug":%q,"name":"Studio","timeZone":"Europe/Paris","slotLength":"1h","currency":"EUR","price":"25.00","horizon":"60d",
		"policy":{"freeUntil":"1d"},"hours":{%s}}`, slug, strings.Join(hours, ",")), "resource", "apply", "-f", "-")
	return slug
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, time.Minute, 10*time.Millisecond, what)
}

type logBook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
