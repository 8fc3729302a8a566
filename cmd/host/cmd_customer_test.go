package main_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
)

// A customer is exported and erased, found by the address or by a booking; and the API,
// the pages and the commands bear bookings without a customer.
func TestCustomer_ExportAndErase(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.URL(t), "SESSION_SECRET": oldSecret, "DATA_DIR": t.TempDir(),
		"PERSONAL_DATA_DAYS": "730"}
	h := startHost(t, env)
	ada := h.client()
	paid := ada.book("studio", mustTime(t, ada.slot(0)), true)
	held := ada.book("studio", mustTime(t, ada.slot(2)), false)
	does := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		status, stdout, stderr := command(t, env, append([]string{"customer"}, args...)...)
		require.Equal(t, want, status, stderr+stdout)
		return stdout, stderr
	}

	text, _ := does(0, "export", "Ada@Example.com")
	var doc struct {
		Email    string
		Bookings []struct{ ID string }
	}
	require.NoError(t, json.Unmarshal([]byte(text), &doc))
	require.Len(t, doc.Bookings, 2)
	line, _ := does(0, "export", "--json", paid.ID)
	require.Equal(t, 1, strings.Count(line, "\n"))
	require.NoError(t, json.Unmarshal([]byte(line), &doc))
	require.Equal(t, "ada@example.com", doc.Email)
	file := filepath.Join(t.TempDir(), "ada.json")
	stdout, _ := does(0, "export", "--output", file, "ada@example.com")
	require.Empty(t, stdout)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	_, stderr := does(1, "export", "--output", file, "ada@example.com")
	require.Contains(t, stderr, "exists")
	missing := filepath.Join(t.TempDir(), "none.json")
	_, stderr = does(1, "export", "--output", missing, "unknown@example.com")
	require.Equal(t, "host: nothing is kept about this customer\n", stderr)
	require.NoFileExists(t, missing)
	_, stderr = does(1, "export", "0193b3a0-0000-7000-8000-000000000000")
	require.Contains(t, stderr, `there is no booking "0193b3a0-0000-7000-8000-000000000000"`)

	_, stderr = does(2, "erase", "ada@example.com")
	require.Contains(t, stderr, "--yes is missing")
	stdout, stderr = does(1, "erase", "--yes", "--force", "ada@example.com")
	require.Contains(t, stderr, "still needed")
	require.Contains(t, stdout, "booking_not_over  "+paid.ID)
	require.Contains(t, stdout, "booking_not_over  "+held.ID)
	require.Contains(t, stdout, "bookings:      0\n")

	execute(t, h.DB(), `UPDATE booking_platform.payments SET expired = NOT completed`)
	execute(t, h.DB(), `UPDATE booking_platform.bookings SET status = 'expired' WHERE status = 'pending'`)
	execute(t, h.DB(), `UPDATE booking_platform.bookings b SET during = p.past, blocked = p.past FROM (
		SELECT id, tstzrange(lower(during) - interval '1 year', upper(during) - interval '1 year') AS past
		FROM booking_platform.bookings) p WHERE b.id = p.id`)
	var report struct {
		DryRun                     bool
		Bookings, Payments, Events int
		NotYet                     []any
	}
	line, _ = does(0, "erase", "--dry-run", "--json", paid.ID)
	require.NoError(t, json.Unmarshal([]byte(line), &report))
	require.True(t, report.DryRun)
	require.Equal(t, 2, report.Bookings)
	line, _ = does(0, "erase", "--yes", "--json", paid.ID)
	require.NoError(t, json.Unmarshal([]byte(line), &report))
	require.False(t, report.DryRun)
	require.Equal(t, 2, report.Bookings)
	require.Equal(t, 2, report.Payments)
	require.Empty(t, report.NotYet)
	_, stderr = does(1, "erase", "--yes", paid.ID)
	require.Contains(t, stderr, "has no customer")
	for _, flag := range []string{"--yes", "--dry-run"} {
		stdout, stderr = does(1, "erase", flag, "ada@example.com")
		require.Empty(t, stdout)
		require.Contains(t, stderr, "no booking, event or user has this address")
	}

	require.Equal(t, http.StatusNotFound, ada.get("/api/bookings/"+paid.ID+"?token="+paid.Token).status)
	admin := h.admin()
	for _, path := range []string{"/api/bookings", "/api/bookings/" + paid.ID, "/payments", "/dashboard",
		"/success?session_id=" + paid.StripeSessionID, "/api/resources/studio/availability?from=2026-12-01&to=2026-12-02"} {
		a := admin.get(path)
		require.Equal(t, http.StatusOK, a.status, "%s: %s", path, a.body)
		require.NotContains(t, strings.ToLower(a.body), "lovelace", path)
	}
	status, stdout, stderr := command(t, env, "payment", "show", paid.ID)
	require.Equal(t, 0, status, stderr)
	require.NotContains(t, stdout, "ada@")
}
