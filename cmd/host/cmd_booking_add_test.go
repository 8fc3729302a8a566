package main_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
)

// At the desk, for nothing, and the mistakes in the command line.
func TestBookingAdd_DeskAndFree(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.URL(t), "SESSION_SECRET": oldSecret, "DATA_DIR": t.TempDir()}
	h := startHost(t, env)
	ada := h.client()
	start := ada.slot(0)
	add := func(more ...string) (int, string, string) {
		t.Helper()
		return command(t, env, append([]string{"booking", "add", "--resource", "studio", "--start", start,
			"--first-name", "Ada", "--last-name", "Lovelace", "--email", "ada@example.com"}, more...)...)
	}
	status, stdout, stderr := add("--desk", "cash", "--reference", "receipt 17", "--phone", "+49 30 901820", "--note",
		"by the window", "--language", "fr")
	require.Equal(t, 0, status, stderr)
	id, link, ok := strings.Cut(strings.TrimSpace(stdout), " ")
	require.True(t, ok, stdout)
	token := mustURL(t, link).Query().Get("token")
	got := ada.get("/api/bookings/" + id + "?token=" + token)
	require.Equal(t, http.StatusOK, got.status)
	require.Contains(t, got.body, `"status":"confirmed"`)
	require.Contains(t, got.body, `"phone":"+49 30 901820"`)
	require.Contains(t, got.body, `"note":"by the window"`)
	added, err := h.Bookings().Get(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "fr", added.Language, "mails are in it")
	status, again, stderr := add("--desk", "cash", "--reference", "receipt 17", "--phone", "+49 30 901820", "--note",
		"by the window", "--language", "fr", "--json")
	require.Equal(t, 0, status, stderr)
	var line struct{ ID, Link string }
	require.NoError(t, json.Unmarshal([]byte(again), &line))
	require.Equal(t, id, line.ID)
	require.Equal(t, link, line.Link)

	// The refund is paid by hand.
	_, stdout, _ = command(t, env, "payment", "refund", "--cause", "rain", id)
	require.Contains(t, stdout, "due by hand")
	refund := strings.Fields(strings.Split(stdout, "\n")[1])[0]
	_, stdout, _ = command(t, env, "payment", "list")
	require.Contains(t, stdout, refund)
	status, stdout, stderr = command(t, env, "payment", "desk-refunded", "--reference", "receipt 18", refund)
	require.Equal(t, 0, status, stderr)
	require.Contains(t, stdout, "succeeded by hand")
	_, stdout, _ = command(t, env, "payment", "list")
	require.Equal(t, "nothing needs attention\n", stdout)
	_, stdout, _ = command(t, env, "payment", "show", id)
	require.Contains(t, stdout, "receipt 17")
	require.Contains(t, stdout, "cash")
	status, _, stderr = command(t, env, "payment", "desk-refunded", id)
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "there is no refund")

	for want, args := range map[string][]string{
		"give one of --payment, --desk and --free": nil,
		"give one of":            {"--desk", "cash", "--free"},
		"--payment \"x\": want":  {"--payment", "x"},
		"--start \"noon\": want": {"--start", "noon", "--free"},
		"--email is not":         {"--email", "x", "--desk", "cash"},
		"--phone ":               {"--phone", "x", "--start", ada.slot(2), "--desk", "cash"},
		"--start is missing":     {"--start", "", "--free"},
		"--language must be":     {"--language", "f r", "--desk", "cash"},
		"--resource does not":    {"--resource", "no-such", "--desk", "cash"},
		"--desk ":                {"--start", ada.slot(2), "--desk", "a\tb"},
	} {
		status, stdout, stderr := add(args...)
		require.Equal(t, 2, status, stderr)
		require.Empty(t, stdout)
		require.Contains(t, stderr, want)
	}
	for want, args := range map[string][]string{
		"give --desk or --payment":    {"--start", ada.slot(2), "--free"},
		"payment service unavailable": {"--payment", "pi_unknown"},
	} {
		status, stdout, stderr := add(args...)
		require.Equal(t, 1, status, stderr)
		require.Empty(t, stdout)
		require.Contains(t, stderr, want)
	}
	status, _, stderr = command(t, map[string]string{"DATABASE_URL": env["DATABASE_URL"], "SESSION_SECRET": "short"},
		"booking", "add", "--resource", "studio", "--start", start, "--free")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "SESSION_SECRET")
}

// Commands and customers at once: each place of the slot is sold once.
func TestBookingAdd_BesideCustomers(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.URL(t), "SESSION_SECRET": oldSecret, "DATA_DIR": t.TempDir()}
	h := startHost(t, env)
	ada := h.client()
	start := ada.slot(0)
	var all sync.WaitGroup
	var mu sync.Mutex
	sold, taken := 0, 0
	count := func(ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if ok {
			sold++
		} else {
			taken++
		}
	}
	for _, who := range []string{"a", "b", "c", "d"} {
		all.Go(func() {
			status, _, stderr := command(t, env, "booking", "add", "--resource", "studio", "--start", start,
				"--first-name", "A", "--last-name", "B", "--email", who+"@example.com", "--desk", "cash")
			if status != 0 && !strings.Contains(stderr, "the slot is taken") {
				t.Error(stderr)
			}
			count(status == 0)
		})
		all.Go(func() {
			got := h.client().post("/api/bookings", m{"resource": "studio", "start": start,
				"firstName": "C", "lastName": "D", "email": who + "2@example.com"})
			if got.status != http.StatusCreated && got.status != http.StatusConflict {
				t.Error(got.status, got.body)
			}
			count(got.status == http.StatusCreated)
		})
	}
	all.Wait()
	require.Equal(t, 1, sold)
	require.Equal(t, 7, taken)
}
