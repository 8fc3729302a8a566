//go:build programs

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/faults"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// Under load, a host of this version joins one of the previous version and replaces it,
// and then the other way round, on the newer schema. Every request is answered, no slot
// is sold twice, and every payment is applied once.
func TestVersions_ForwardAndBack(t *testing.T) {
	t.Parallel()
	older := previousVersion(t)
	database := testdb.EmptyURL(t)
	db := testdb.Open(t, testdb.PQ, database)
	files := func() (n int) {
		require.NoError(t, db.QueryRow(`SELECT sum(version) FROM booking_platform.schema_versions`).Scan(&n))
		return n
	}
	c := newChange(t, database)

	before := c.start(older)
	c.open()
	c.sells(before)
	tables := files()
	after := c.start(hostBinary(t))
	require.Greater(t, files(), tables, "this version has newer tables")
	c.sells(before, after)
	before.host.stop()
	c.sells(after)

	tables = files()
	before = c.start(older)
	require.Equal(t, tables, files())
	c.sells(before, after)
	after.host.stop()
	c.sells(before)

	c.close()
	require.Empty(t, c.wrong)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, c.stripe.WaitDelivered(ctx))
	for _, e := range c.stripe.Events() {
		for _, a := range e.Attempts {
			require.True(t, a.OK(), "a delivery of %s was answered %d", e.ID, a.Status)
		}
	}
	var confirmed int
	require.NoError(t, db.QueryRowContext(ctx,
		`SELECT count(*) FROM booking_platform.bookings WHERE status = 'confirmed'`).Scan(&confirmed))
	require.Equal(t, int(c.sold.Load()), confirmed, "bookings that were answered 201 and paid")
	broken, err := faults.Broken(ctx, db, faults.TruthOf(c.stripe.Server).ReceivedBy(hostReceiver))
	require.NoError(t, err)
	require.Empty(t, broken)
	t.Logf("%d slots sold, %d requests for taken ones", c.sold.Load(), c.taken.Load())
}

// previousVersion is the revision to which .ci/compose rolls back.
func previousVersion(t *testing.T) string {
	t.Helper()
	ask := exec.Command(".ci/previous")
	ask.Dir = "../.."
	out, err := ask.Output()
	require.NoError(t, err)
	revision := strings.TrimSpace(string(out))
	require.NotEmpty(t, revision, "there is no previous version in git: .ci/test leaves this test out then")
	dir := t.TempDir()
	for _, command := range [][]string{
		{"git", "clone", "--quiet", "--no-checkout", "../..", dir},
		{"git", "-C", dir, "checkout", "--quiet", "--detach", revision},
		{"go", "-C", dir, "build", "-o", filepath.Join(dir, "older"), "./cmd/host"},
	} {
		out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	return filepath.Join(dir, "older")
}

// change is a balancer with its hosts, and customers who book through it.
type change struct {
	t        *testing.T
	stripe   *stripeWorld
	env      map[string]string
	balancer *httptest.Server
	slots    []string
	stop     chan struct{}
	all      sync.WaitGroup

	next, sold, taken atomic.Int64

	mu      sync.Mutex
	members []*member
	wrong   []string // answers that are never right
}

// member gets requests while its /health/db answers 200.
type member struct {
	host  *host
	proxy *httputil.ReverseProxy
	ready atomic.Bool
	// booked counts answers with a new booking.
	booked atomic.Int64
}

func newChange(t *testing.T, database string) *change {
	t.Helper()
	c := &change{t: t, stripe: newStripe(t, stripetest.Options{}), stop: make(chan struct{})}
	c.env = c.stripe.env(database)
	c.env["SESSION_SECRET"] = strings.Repeat("0123456789abcdef", 4)
	c.env["HOLDS_PER_EMAIL"], c.env["HOLDS_PER_ADDRESS"], c.env["BOOKINGS_PER_MINUTE"] = "0", "0", "0"
	c.env["SHUTDOWN_GRACE"] = "3"
	c.balancer = httptest.NewServer(c)
	t.Cleanup(c.balancer.Close)
	c.stripe.pointAt(&host{base: c.balancer.URL})
	t.Cleanup(c.close)
	return c
}

func (c *change) start(program string) *member {
	c.t.Helper()
	m := &member{host: startProgram(c.t, program, c.env)}
	base, err := url.Parse(m.host.base)
	require.NoError(c.t, err)
	m.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(base) },
		ModifyResponse: func(r *http.Response) error {
			if r.Request.URL.Path == "/api/bookings" && r.StatusCode == http.StatusCreated {
				m.booked.Add(1)
			}
			return nil
		},
	}
	c.mu.Lock()
	c.members = append(c.members, m)
	c.mu.Unlock()
	c.all.Go(func() { c.check(m) })
	return m
}

// check asks for readiness until the host has ended, as a balancer does.
func (c *change) check(m *member) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	client := &http.Client{Timeout: 10 * time.Second}
	for {
		resp, err := client.Get(m.host.base + "/health/db")
		m.ready.Store(err == nil && resp.StatusCode == http.StatusOK)
		if err == nil {
			_ = resp.Body.Close()
		}
		select {
		case <-c.stop:
			return
		case <-m.host.done:
			m.ready.Store(false)
			return
		case <-tick.C:
		}
	}
}

// Ready hosts take turns.
func (c *change) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	var ready []*member
	for _, m := range c.members {
		if m.ready.Load() {
			ready = append(ready, m)
		}
	}
	c.mu.Unlock()
	if len(ready) == 0 {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	ready[int(c.next.Add(1))%len(ready)].proxy.ServeHTTP(w, r)
}

func (c *change) sells(hosts ...*member) {
	c.t.Helper()
	for _, m := range hosts {
		n := m.booked.Load() + 10
		eventually(c.t, "ten more bookings", func(context.Context) bool { return m.booked.Load() >= n })
	}
}

// The load is pairs of customers who want the same slot at the same time.
func (c *change) open() {
	c.t.Helper()
	eventually(c.t, "ready", func(context.Context) bool { return c.members[0].ready.Load() })
	for from := 2; from < 360; from += 28 {
		var found struct{ Items []struct{ Start string } }
		newCustomer(c.t, c.balancer.URL).json(http.MethodGet, "/api/resources/studio/availability?from="+days(from)+
			"&to="+days(from+28), nil, http.StatusOK, &found)
		for _, s := range found.Items {
			c.slots = append(c.slots, s.Start)
		}
	}
	var turn atomic.Int64
	for range 2 {
		c.all.Go(func() {
			for {
				select {
				case <-c.stop:
					return
				case <-time.After(50 * time.Millisecond):
				}
				n := int(turn.Add(1)) - 1
				if n >= len(c.slots) {
					c.note("no slot is left: the test took too long")
					return
				}
				var pair sync.WaitGroup
				var sold atomic.Int64
				for customer := range 2 {
					pair.Go(func() { c.customer(c.slots[n], fmt.Sprintf("%d-%d", n, customer), &sold) })
				}
				pair.Wait()
				if sold.Load() != 1 {
					c.note(fmt.Sprintf("the slot of %s was sold %d times", c.slots[n], sold.Load()))
				}
			}
		})
	}
}

// customer books and pays; then the request is repeated, and so is the event, which
// another host may get.
func (c *change) customer(slot, key string, sold *atomic.Int64) {
	status, b := c.book(slot, key)
	switch status {
	case http.StatusCreated:
	case http.StatusConflict:
		c.taken.Add(1)
		return
	default:
		return
	}
	sold.Add(1)
	c.sold.Add(1)
	switch _, err := c.stripe.Pay(context.Background(), b.StripeSessionID); {
	case errors.Is(err, stripetest.ErrNoAnswer):
		// Paid, and the host is slower than a customer's patience.
		return
	case err != nil:
		c.note(err.Error())
		return
	}
	if _, again := c.book(slot, key); again.ID != b.ID || again.Status != "confirmed" {
		c.note(fmt.Sprintf("%s, which was paid, is %s, %q", b.ID, again.ID, again.Status))
	}
	for _, e := range c.stripe.Events() {
		if e.SessionID == b.StripeSessionID {
			_, _ = c.stripe.Resend(context.Background(), e.ID, 2)
		}
	}
}

// Only a booking and "the slot is taken" are right answers.
func (c *change) book(slot, key string) (int, created) {
	body, _ := json.Marshal(map[string]any{"start": slot, "resource": "studio", "firstName": "Ada",
		"lastName": "Lovelace", "email": "ada@example.com"})
	req, err := http.NewRequest(http.MethodPost, c.balancer.URL+"/api/bookings", bytes.NewReader(body))
	if err != nil {
		c.note(err.Error())
		return 0, created{}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.note(err.Error())
		return 0, created{}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	var b created
	taken := resp.StatusCode == http.StatusConflict && strings.Contains(string(answer), "slot_taken")
	if err != nil || json.Unmarshal(answer, &b) != nil || resp.StatusCode >= 300 && !taken {
		c.note(fmt.Sprintf("%d: %s (%v)", resp.StatusCode, answer, err))
	}
	return resp.StatusCode, b
}

func (c *change) note(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = append(c.wrong, what)
}

// close ends the load.
func (c *change) close() {
	c.mu.Lock()
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
	c.mu.Unlock()
	c.all.Wait()
}
