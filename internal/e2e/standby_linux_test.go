//go:build programs

package e2e

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// awayFor is how long the standby is away: longer than the host waits for an answer of
// the database, so that connections are given up while their commits wait. STANDBY_AWAY
// has it measured for longer.
func awayFor(t *testing.T) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(cmp.Or(os.Getenv("STANDBY_AWAY"), "25s"))
	require.NoError(t, err)
	return d
}

// M33: while the synchronous standby is away no event and no booking is acknowledged,
// reads go on, and the connections are bounded; once it is back all are acknowledged; and
// after the primary was killed and the standby promoted, each event answered 200 and each
// booking answered 201 is there.
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
	// What was answered while the signal was on its way may still have been confirmed.
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

// crowd is more customers than the pool has connections, who book and repeat refused
// requests under the same key.
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

// end stops the customers. A request that is under way ends within the host's limits.
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

// reads requests the free slots until then, and returns how long each response took.
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
