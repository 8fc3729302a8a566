//go:build programs

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
)

// O2: RUNBOOK.md's procedure, while another customer tries to book the slot of a booking
// that the backup lacks.
func TestRestore_CustomerMeanwhile(t *testing.T) {
	t.Parallel()
	n := newIncident(t, situation{})
	backup := filepath.Join(t.TempDir(), "backup")
	postgresProgram(t, "pg_dump", "--format=custom", "--no-owner", "--file="+backup,
		testdb.Direct(t, n.url, "pg_dump configures its session"))
	cookie := n.login("ada@example.com", "a long enough password")
	slot := newCustomer(t, n.host.base).firstSlot()
	lost := n.pay()

	// The database is lost.
	n.host.kill()
	require.NoError(t, n.db.Close())
	u, err := url.Parse(n.url)
	require.NoError(t, err)
	_, err = testdb.Empty(t).ExecContext(t.Context(), `DROP DATABASE "`+u.Path[1:]+`" WITH (FORCE)`)
	require.NoError(t, err)

	// Steps 2 and 3.
	n.url = testdb.EmptyURL(t)
	n.env["DATABASE_URL"] = n.url
	postgresProgram(t, "pg_restore", "--no-owner", "--exit-on-error",
		"--dbname="+testdb.Direct(t, n.url, "pg_restore configures its session"), backup)
	n.db = testdb.Open(t, testdb.PQ, n.url)
	require.Contains(t, n.command("", "migrate", "up"), "nothing to apply")
	n.command("", "maintenance", "on", "--reason", "restore")
	n.exec(`DELETE FROM booking_platform.sessions`)
	n.host = startHost(t, n.env)
	n.stripe.pointAt(n.host)
	require.Equal(t, http.StatusUnauthorized, n.get("/auth/me", cookie))
	require.Equal(t, "0", n.value(`SELECT count(*) FROM booking_platform.bookings WHERE id = $1::uuid`, lost.ID))
	eve := n.insist(slot)

	// Steps 4 to 6.
	fetch := exec.CommandContext(t.Context(), binary.path, "events", "fetch", "--since", "1h")
	for name, value := range n.env {
		fetch.Env = append(fetch.Env, name+"="+value)
	}
	out, err := fetch.CombinedOutput()
	require.Error(t, err, "an event matches nothing")
	require.Contains(t, string(out), "2 events listed")
	var entry struct{ ID string }
	require.NoError(t, json.Unmarshal([]byte(n.command("", "events", "list", "--outcome", "unmatched", "--json")),
		&entry))
	n.settleLost(entry.ID, lost, slot)

	// Step 7.
	require.Zero(t, eve.count(http.StatusCreated))
	n.command("", "maintenance", "off")
	n.eventually("the customer is answered", func() bool {
		return eve.count(http.StatusConflict)+eve.count(http.StatusCreated) > 0
	})
	require.Zero(t, eve.count(http.StatusCreated), "the slot was sold a second time")
	require.Positive(t, eve.count(http.StatusServiceUnavailable))
	require.Empty(t, n.stripe.Refunds())
	require.Regexp(t, `(?m)^unmatched: +0$`, n.command("", "events", "waiting"))
}

type attempts struct {
	mu      sync.Mutex
	answers map[int]int
}

func (a *attempts) count(status int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.answers[status]
}

// insist books until it is answered 201 or 409.
func (n *incident) insist(slot string) *attempts {
	n.t.Helper()
	a := &attempts{answers: map[int]int{}}
	body, err := json.Marshal(map[string]string{"start": slot, "firstName": "Eve", "lastName": "Moore",
		"email": "eve@example.com"})
	require.NoError(n.t, err)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	n.t.Cleanup(func() { stop(); running.Wait() })
	running.Go(func() {
		pause := time.NewTicker(5 * time.Millisecond)
		defer pause.Stop()
		for a.count(http.StatusCreated)+a.count(http.StatusConflict) == 0 {
			select {
			case <-ctx.Done():
				return
			case <-pause.C:
			}
			resp, err := http.Post(n.host.base+"/api/bookings", "application/json", bytes.NewReader(body))
			if err != nil {
				continue
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			a.mu.Lock()
			a.answers[resp.StatusCode]++
			a.mu.Unlock()
		}
	})
	return a
}

// settleLost enters an unmatched event's booking again, bound to its payment.
func (n *incident) settleLost(event string, lost created, slot string) {
	n.t.Helper()
	require.Contains(n.t, n.command("", "events", "show", event), lost.ID)
	var line struct{ ID string }
	out := n.command("", "booking", "add", "--resource", "studio", "--start", slot, "--first-name", "Ada",
		"--last-name", "Lovelace", "--email", "ada@example.com", "--payment", lost.StripeSessionID, "--json")
	require.NoError(n.t, json.Unmarshal([]byte(out), &line), out)
	require.Equal(n.t, "confirmed", n.value(`SELECT status FROM booking_platform.bookings WHERE id = $1::uuid`, line.ID))
	n.command("", "events", "replay", "--id", event)
}

func postgresProgram(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testdb.Program(t, name), args...)
	cmd.Env = os.Environ()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, strings.TrimSpace(string(out)))
}
