//go:build programs

package e2e

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// asynchronous lets commits of the primary wait for no standby.
func (p *postgres) asynchronous() {
	p.t.Helper()
	admin := p.open("postgres")
	for _, statement := range []string{`ALTER SYSTEM SET synchronous_standby_names = ''`, `SELECT pg_reload_conf()`} {
		_, err := admin.ExecContext(p.t.Context(), statement)
		require.NoError(p.t, err)
	}
}

// logged returns how often a message was logged.
func (h *host) logged(message string) int { return strings.Count(h.logs(), `"msg":"`+message+`"`) }

func bookingOf(name, start string) map[string]any {
	return map[string]any{"resource": "studio", "start": start, "firstName": name, "lastName": "Lovelace",
		"email": name + "@example.com"}
}

const (
	readsStandby = "reading from the standby"
	readsPrimary = "not reading from the standby"
)

// DATABASE_READ_URL: free slots come from the standby while it is close behind, and from
// the primary while it lags, is down, or is no standby any more. A slot that the standby
// still shows cannot be sold again, and an owner sees the booking at once. No read fails
// meanwhile.
func TestReplica_LagLossReturnPromotion(t *testing.T) {
	t.Parallel()
	primary := newPostgres(t)
	second := primary.standby()
	primary.asynchronous()
	stripe := newStripe(t, stripetest.Options{})
	env := stripe.env(primary.url("booking"))
	env["DATABASE_READ_URL"] = second.url("booking")
	env["HOLDS_PER_EMAIL"], env["HOLDS_PER_ADDRESS"] = "0", "0"
	h := startHost(t, env)
	stripe.pointAt(h)
	ada := newCustomer(t, h.base)
	path := "/api/resources/studio/availability?from=" + days(2) + "&to=" + days(9)
	free := func() map[string]bool {
		var found struct{ Items []struct{ Start string } }
		ada.json(http.MethodGet, path, nil, http.StatusOK, &found)
		all := map[string]bool{}
		for _, s := range found.Items {
			all[s.Start] = true
		}
		return all
	}
	some := func() string {
		for start := range free() {
			return start
		}
		t.Fatal("no slot is free")
		return ""
	}
	says := func(message string, times int) {
		t.Helper()
		eventually(t, message, func(context.Context) bool { return h.logged(message) >= times })
	}
	says(readsStandby, 1)

	// Requests that go on during all of this.
	var reads, failed atomic.Int64
	stop := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		c := newCustomer(t, h.base)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if status, _ := c.do(http.MethodGet, h.base+path, "", nil); status != http.StatusOK {
				failed.Add(1)
			}
			reads.Add(1)
		}
	})

	// Lag: what was sold is still shown, for a bounded time, and not sold again.
	standby := second.open("booking")
	pause := func(statement string) {
		t.Helper()
		_, err := standby.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	pause(`SELECT pg_wal_replay_pause()`)
	start := some()
	paused := time.Now()
	var booked struct{ ID, Token string }
	ada.json(http.MethodPost, "/api/bookings", bookingOf("ada", start), http.StatusCreated, &booked)
	require.True(t, free()[start], "the slots were not read from the standby")
	ada.json(http.MethodGet, "/api/bookings/"+booked.ID+"?token="+booked.Token, nil, http.StatusOK, nil)
	ada.json(http.MethodPost, "/api/bookings", bookingOf("eve", start), http.StatusConflict, nil)
	eventually(t, "slots of the primary", func(context.Context) bool { return !free()[start] })
	t.Logf("a standby that had stopped was left after %v", time.Since(paused).Round(time.Millisecond))
	require.Less(t, time.Since(paused), 9*time.Second)
	require.Equal(t, 1, h.logged(readsPrimary))

	// Return.
	pause(`SELECT pg_wal_replay_resume()`)
	says(readsStandby, 2)
	require.False(t, free()[start])

	// Loss and return.
	require.NoError(t, standby.Close())
	second.kill()
	require.NotEmpty(t, free())
	says(readsPrimary, 2)
	second.start()
	says(readsStandby, 3)

	// Promotion: it is another database from here on.
	second.promote()
	start = some()
	ada.book(start)
	says(readsPrimary, 3)
	require.False(t, free()[start])

	close(stop)
	running.Wait()
	require.Zero(t, failed.Load(), "of %d reads", reads.Load())
	t.Logf("%d reads, none failed", reads.Load())
}
