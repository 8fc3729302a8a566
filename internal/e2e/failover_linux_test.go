//go:build programs

package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/faults"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// servesAgain is the time limit to serve again once there is a database, with a margin
// for a busy machine.
const servesAgain = 5 * time.Second

// The primary is killed and the standby promoted. The host reconnects, and with
// synchronous replication no acknowledged event is lost.
func TestFailover_PrimaryKilled(t *testing.T) {
	t.Parallel()
	primary := newPostgres(t)
	second := primary.standby()
	url := fmt.Sprintf("postgres://booking@/booking?host=127.0.0.1,127.0.0.1&port=%d,%d&sslmode=disable", primary.port,
		second.port)
	l := newLoad(t, url)
	l.until("paid for", &l.paid, 10)
	primary.kill()
	l.refuses()
	killed := time.Now()
	second.promote()
	promoted := time.Now()
	l.until("booked", &l.booked, l.booked.Load()+1)
	within(t, servesAgain, "serving again after the promotion", promoted)
	t.Logf("serving again after the kill: %v", time.Since(killed).Round(time.Millisecond))
	l.until("paid for", &l.paid, l.paid.Load()+10)
	l.holds(second.open("booking"))
}

// Postgres killed (-9) under load: R0; serving again within 5 s of its return, no host
// restart.
func TestPostgres_Killed(t *testing.T) {
	t.Parallel()
	server := newPostgres(t)
	l := newLoad(t, server.url("booking"))
	l.until("paid for", &l.paid, 10)
	server.kill()
	l.refuses()
	server.start()
	returned := time.Now()
	l.until("booked", &l.booked, l.booked.Load()+1)
	within(t, servesAgain, "serving again after its return", returned)
	l.until("paid for", &l.paid, l.paid.Load()+10)
	l.holds(server.open("booking"))
}

// Postgres hangs: SIGSTOP. R0; /health 200, /health/db 503, within their time limits.
func TestPostgres_Hangs(t *testing.T) {
	t.Parallel()
	server := newPostgres(t)
	l := newLoad(t, server.url("booking"))
	l.until("paid for", &l.paid, 10)
	server.signal(syscall.SIGSTOP)
	l.refuses()
	began := time.Now()
	require.Equal(t, http.StatusOK, l.get("/health"))
	within(t, 2*time.Second, "/health", began)
	began = time.Now()
	require.Equal(t, http.StatusServiceUnavailable, l.get("/health/db"))
	within(t, 10*time.Second, "/health/db", began)
	server.signal(syscall.SIGCONT)
	returned := time.Now()
	l.until("booked", &l.booked, l.booked.Load()+1)
	within(t, 2*servesAgain, "serving again after it goes on", returned)
	l.until("paid for", &l.paid, l.paid.Load()+10)
	l.holds(server.open("booking"))
}

// load is a host with customers who book and pay concurrently, until the test has seen
// enough.
type load struct {
	t      *testing.T
	host   *host
	stripe *stripeWorld
	slots  []string
	next   atomic.Int64
	stop   chan struct{}
	all    sync.WaitGroup

	booked, paid, refused atomic.Int64
	paused                atomic.Bool
	mu                    sync.Mutex
	acknowledged          []string // bookings that were answered 201
	wrong                 []string // answers that are never right
}

func newLoad(t *testing.T, url string) *load {
	t.Helper()
	l := &load{t: t, stripe: newStripe(t, stripetest.Options{}), stop: make(chan struct{})}
	env := l.stripe.env(url)
	env["HOLDS_PER_EMAIL"], env["HOLDS_PER_ADDRESS"] = "0", "0"
	l.host = startHost(t, env)
	l.stripe.pointAt(l.host)
	var found struct{ Items []struct{ Start string } }
	newCustomer(t, l.host.base).json(http.MethodGet, "/api/resources/studio/availability?from="+days(2)+"&to="+days(30),
		nil, http.StatusOK, &found)
	for _, s := range found.Items {
		l.slots = append(l.slots, s.Start)
	}
	for range 4 {
		l.all.Go(l.customer)
	}
	t.Cleanup(l.end)
	return l
}

func (l *load) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.all.Wait()
}

// customer books slot after slot, and pays. What is refused is tried again a moment
// later, as a person would.
func (l *load) customer() {
	client := &http.Client{Timeout: 40 * time.Second}
	for {
		select {
		case <-l.stop:
			return
		case <-time.After(20 * time.Millisecond):
		}
		if l.paused.Load() {
			continue
		}
		n := int(l.next.Add(1)) - 1
		if n >= len(l.slots) {
			return
		}
		body, _ := json.Marshal(map[string]any{"start": l.slots[n], "firstName": "Ada", "lastName": "Lovelace",
			"email": "ada@example.com"})
		resp, err := client.Post(l.host.base+"/api/bookings", "application/json", bytes.NewReader(body))
		if err != nil {
			l.refused.Add(1)
			continue
		}
		answer, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		var b created
		switch {
		case err != nil || resp.StatusCode >= 500:
			l.refused.Add(1)
			continue
		case resp.StatusCode != http.StatusCreated || json.Unmarshal(answer, &b) != nil:
			l.note(&l.wrong, fmt.Sprintf("%d: %s", resp.StatusCode, answer))
			continue
		}
		l.booked.Add(1)
		l.note(&l.acknowledged, b.ID)
		// The host gives a delivery ten seconds too: a customer who pays while the
		// database hangs is redirected without an answer, and has paid.
		if _, err := l.stripe.Pay(context.Background(), b.StripeSessionID); err != nil &&
			!errors.Is(err, stripetest.ErrNoAnswer) {
			l.note(&l.wrong, err.Error())
			continue
		}
		l.paid.Add(1)
	}
}

func (l *load) note(to *[]string, what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*to = append(*to, what)
}

// until waits until a counter is at n.
func (l *load) until(what string, counter *atomic.Int64, n int64) {
	l.t.Helper()
	eventually(l.t, fmt.Sprintf("%d %s", n, what), func(context.Context) bool { return counter.Load() >= n })
}

// refuses waits until a customer was refused.
func (l *load) refuses() {
	l.t.Helper()
	l.until("refused", &l.refused, l.refused.Load()+1)
}

func (l *load) get(path string) int {
	l.t.Helper()
	resp, err := http.Get(l.host.base + path)
	require.NoError(l.t, err)
	defer resp.Body.Close()
	return resp.StatusCode
}

// holds ends the load and checks that no response was wrong, that everything acknowledged
// is in the database, and that every invariant holds.
func (l *load) holds(db *sql.DB) {
	l.t.Helper()
	l.end()
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	require.NoError(l.t, l.stripe.WaitDelivered(ctx))
	require.Empty(l.t, l.wrong)
	for _, id := range l.acknowledged {
		var n int
		require.NoError(l.t, db.QueryRowContext(ctx,
			`SELECT count(*) FROM booking_platform.bookings WHERE id = $1::uuid AND status = 'confirmed'`, id).Scan(&n))
		require.Equal(l.t, 1, n, "booking %s was answered 201 and paid", id)
	}
	truth := faults.TruthOf(l.stripe.Server).ReceivedBy(hostReceiver)
	require.Len(l.t, truth.Answered, int(l.paid.Load()), "every event was answered 200 in the end")
	failed := 0
	for _, e := range l.stripe.Events() {
		for _, a := range e.Attempts {
			if !a.OK() {
				failed++
			}
		}
	}
	l.t.Logf("%d booked, %d paid, %d refused, %d deliveries failed and were made again", l.booked.Load(), l.paid.Load(),
		l.refused.Load(), failed)
	broken, err := faults.Broken(ctx, db, truth)
	require.NoError(l.t, err)
	require.Empty(l.t, broken)
}
