package main_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
)

// A hold, a paid booking in whole and in part, a repeat, and mistakes.
func TestBookingCancel_HoldAndPaid(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.URL(t), "SESSION_SECRET": oldSecret, "DATA_DIR": t.TempDir()}
	h := startHost(t, env)
	ada := h.client()
	held := ada.book("studio", mustTime(t, ada.slot(0)), false)
	paid := ada.book("studio", mustTime(t, ada.slot(2)), true)
	part := ada.book("studio", mustTime(t, ada.slot(4)), true)
	cancel := func(args ...string) (int, string, string) {
		t.Helper()
		return command(t, env, append([]string{"booking", "cancel"}, args...)...)
	}
	status, stdout, stderr := cancel(held.ID)
	require.Equal(t, 0, status, stderr)
	require.Equal(t, held.ID+" cancelled\n", stdout)
	for range 2 {
		status, stdout, stderr = cancel("--reason", "case 42", paid.ID)
		require.Equal(t, 0, status, stderr)
		require.Equal(t, paid.ID+" cancelled, refund 25.00 EUR\n", stdout)
	}
	require.Equal(t, http.StatusOK, ada.get("/api/bookings/"+paid.ID+"?token="+paid.Token).status)
	_, stdout, _ = command(t, env, "payment", "show", paid.ID)
	require.Contains(t, stdout, "25.00")
	status, stdout, stderr = cancel("--json", "--refund", "10.00", part.ID)
	require.Equal(t, 0, status, stderr)
	var line struct {
		ID, Status string
		Refund     struct{ Minor int64 }
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &line))
	require.Equal(t, part.ID, line.ID)
	require.Equal(t, "cancelled", line.Status)
	require.Equal(t, int64(1000), line.Refund.Minor)

	const unknown = "0193b3a0-0000-7000-8000-000000000000"
	for want, args := range map[string][]string{
		"there is no booking": {unknown}, "there is no booking \"x\"": {"x"},
		"there is no booking \"" + unknown: {"--refund", "1.00", unknown},
	} {
		status, _, stderr = cancel(args...)
		require.Equal(t, 1, status, stderr)
		require.Contains(t, stderr, want)
	}
	other := ada.book("studio", mustTime(t, ada.slot(6)), true)
	for want, refund := range map[string]string{"--refund \"much\"": "much", "--refund ": "25.01"} {
		status, _, stderr = cancel("--refund", refund, other.ID)
		require.Equal(t, 2, status, stderr)
		require.Contains(t, stderr, want)
	}
	execute(t, h.DB(), `UPDATE booking_platform.bookings SET status = 'expired' WHERE id = '`+other.ID+`'`)
	status, _, stderr = cancel(other.ID)
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "is expired: it cannot be cancelled")
}
