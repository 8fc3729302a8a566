//go:build programs

package e2e

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/booking-platform/booking-platform/internal/faults"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/stretchr/testify/require"
)

// servesAgain has a margin for a busy machine.
const servesAgain = 5 * time.Second

// The host reconnects to the promoted standby, and with synchronous replication no
// acknowledged event is lost.
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

// R0; serving again within 5 s of Postgres's return, without a restart of the host.
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

// SIGSTOP. R0; /health 200, /health/db 503, within their time limits.
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

// load is a host with customers who book and pay concurrently.
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

// What is refused is tried again a moment later, as a person would.
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
		// The host gives a delivery ten seconds too: who pays while the database hangs is
		// redirected without an answer, and has paid.
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

func (l *load) until(what string, counter *atomic.Int64, n int64) {
	l.t.Helper()
	eventually(l.t, fmt.Sprintf("%d %s", n, what), func(context.Context) bool { return counter.Load() >= n })
}

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

// holds ends the load: no response was wrong, what was acknowledged is in the database,
// and every invariant holds.
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

// awayFor is longer than the host waits for the database, so that connections are given
// up while their commits wait. STANDBY_AWAY makes it longer.
func awayFor(t *testing.T) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(cmp.Or(os.Getenv("STANDBY_AWAY"), "25s"))
	require.NoError(t, err)
	return d
}

// M33: while the synchronous standby is away no event and no booking is acknowledged,
// reads go on, and connections are bounded; once it is back all are acknowledged; and
// after the standby was promoted, each event answered 200 and each booking answered 201
// is there.
func TestFailover_StandbyAway(t *testing.T) {
	t.Parallel()
	primary := newPostgres(t)
	second := primary.standby()
	url := fmt.Sprintf("postgres://booking@/booking?host=127.0.0.1,127.0.0.1&port=%d,%d&sslmode=disable", primary.port,
		second.port)
	l := newLoad(t, url)
	l.until("paid for", &l.paid, 5)
	admin := primary.open("postgres")
	second.signal(syscall.SIGSTOP)
	// What was answered while the signal was on its way may still be confirmed.
	eventually(t, "a commit waits for the standby",
		func(ctx context.Context) bool { return commitsWaiting(ctx, admin) > 0 })
	l.paused.Store(true)
	stopped := time.Now()
	booked := l.booked.Load()

	crowd := newCrowd(l)
	reads := crowd.reads(stopped.Add(awayFor(t)))
	most := connections(t, admin)
	crowd.end()
	require.Zero(t, crowd.acknowledged.Load(), "a booking was answered 201 while its commit waited")
	require.LessOrEqual(t, l.booked.Load(), booked, "a booking was answered 201 while its commit waited")
	for _, e := range l.stripe.Events() {
		for _, a := range e.Attempts {
			require.False(t, a.OK() && a.At.After(stopped), "event %s was answered %d while its commit waited", e.ID,
				a.Status)
		}
	}
	sort.Slice(reads, func(i, j int) bool { return reads[i] < reads[j] })
	t.Logf("standby away for %v: %d bookings refused, %d reads, half of them within %v, the slowest %v; %d connections at the primary",
		time.Since(stopped).Round(time.Second), crowd.refused.Load(), len(reads),
		reads[len(reads)/2].Round(time.Millisecond),
		reads[len(reads)-1].Round(time.Millisecond), most)
	// The pool has 20, of which 15 may be given up while their commits wait.
	require.LessOrEqual(t, most, 40, "connections at the primary")

	second.signal(syscall.SIGCONT)
	l.paused.Store(false)
	returned := time.Now()
	l.until("booked", &l.booked, booked+1)
	within(t, 4*servesAgain, "serving again after the standby is back", returned)
	l.until("paid for", &l.paid, l.paid.Load()+10)

	primary.kill()
	l.refuses()
	second.promote()
	l.until("paid for", &l.paid, l.paid.Load()+5)
	l.holds(second.open("booking"))
}

const commitsWaitSQL = `SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`

func commitsWaiting(ctx context.Context, admin *sql.DB) (n int) {
	_ = admin.QueryRowContext(ctx, commitsWaitSQL).Scan(&n)
	return n
}

func connections(t *testing.T, admin *sql.DB) (n int) {
	t.Helper()
	require.NoError(t, admin.QueryRowContext(t.Context(),
		`SELECT count(*) FROM pg_stat_activity WHERE datname = 'booking'`).Scan(&n))
	return n
}

// crowd is more customers than the pool has connections, who repeat refused requests
// under the same key.
type crowd struct {
	load                  *load
	stop                  chan struct{}
	all                   sync.WaitGroup
	acknowledged, refused atomic.Int64
}

func newCrowd(l *load) *crowd {
	c := &crowd{load: l, stop: make(chan struct{})}
	var found struct{ Items []struct{ Start string } }
	newCustomer(l.t, l.host.base).json(http.MethodGet,
		"/api/resources/studio/availability?from="+days(31)+"&to="+days(50), nil, http.StatusOK, &found)
	require.GreaterOrEqual(l.t, len(found.Items), 30)
	for n := range 30 {
		c.all.Go(func() { c.book(n, found.Items[n].Start) })
	}
	return c
}

// A request that is under way ends within the host's limits.
func (c *crowd) end() {
	close(c.stop)
	c.all.Wait()
}

func (c *crowd) book(n int, start string) {
	client := &http.Client{Timeout: 20 * time.Second}
	body, _ := json.Marshal(map[string]any{"start": start, "firstName": "Ada", "lastName": "Lovelace",
		"email": "ada@example.com"})
	for {
		select {
		case <-c.stop:
			return
		case <-time.After(50 * time.Millisecond):
		}
		req, _ := http.NewRequest(http.MethodPost, c.load.host.base+"/api/bookings", bytes.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", fmt.Sprint("crowd-", n))
		resp, err := client.Do(req)
		if err != nil {
			c.refused.Add(1)
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusCreated {
			c.acknowledged.Add(1)
			continue
		}
		c.refused.Add(1)
	}
}

// reads returns how long each response took.
func (c *crowd) reads(until time.Time) []time.Duration {
	c.load.t.Helper()
	var took []time.Duration
	for time.Now().Before(until) {
		began := time.Now()
		require.Equal(c.load.t, http.StatusOK,
			c.load.get("/api/resources/studio/availability?from="+days(2)+"&to="+days(3)), "a read while commits wait")
		took = append(took, time.Since(began))
		time.Sleep(20 * time.Millisecond)
	}
	return took
}
