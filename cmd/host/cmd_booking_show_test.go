package main_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// The number that a customer reads out finds the booking: by command, on the dashboard and
// by the API.
func TestBookingShow_ByNumber(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.URL(t), "DATA_DIR": t.TempDir()}
	h := startHost(t, env)
	ada := h.client()
	b := ada.book("studio", mustTime(t, ada.slot(0)), true)
	other := ada.book("studio", mustTime(t, ada.slot(1)), false)
	another, err := h.Bookings().Get(t.Context(), other.ID)
	require.NoError(t, err)
	found, err := h.Bookings().Get(t.Context(), b.ID)
	require.NoError(t, err)
	typed := strings.ToLower(found.Number[:4] + "-" + found.Number[4:])

	for _, name := range []string{typed, b.ID} {
		status, stdout, stderr := command(t, env, "booking", "show", name)
		require.Equal(t, 0, status, stderr)
		require.Contains(t, stdout, found.Number)
		require.Regexp(t, `payment status: +paid`, stdout)
		require.Regexp(t, `pending +confirmed`, stdout)
	}
	_, stdout, _ := command(t, env, "booking", "show", "--json", typed)
	var shown struct {
		ID, Number, Email, PaymentStatus string
		History                          []struct{ To string }
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &shown))
	require.Equal(t, []string{b.ID, found.Number, "ada@example.com", "paid"},
		[]string{shown.ID, shown.Number, shown.Email, shown.PaymentStatus})
	require.Len(t, shown.History, 2)
	// A move names the time before.
	moved, err := h.Bookings().Reschedule(t.Context(), booking.RescheduleRequest{ID: b.ID,
		Start: mustTime(t, ada.slot(2))})
	require.NoError(t, err)
	resource, err := h.Bookings().Resource(t.Context(), moved.ResourceID)
	require.NoError(t, err)
	zone, err := resource.Zone()
	require.NoError(t, err)
	_, stdout, _ = command(t, env, "booking", "show", typed)
	require.Regexp(t, `confirmed +confirmed +`+regexp.QuoteMeta(found.Start.In(zone).Format(time.RFC3339)), stdout)
	_, stdout, _ = command(t, env, "booking", "show", "--json", typed)
	require.Contains(t, stdout, `"movedFrom":"`+found.Start.In(zone).Format(time.RFC3339)+`"`)
	status, _, stderr := command(t, env, "booking", "show", "22222222")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, `there is no booking "22222222"`)

	admin := h.admin()
	page := admin.get("/dashboard?from=2099-01-01&number=" + typed)
	require.Equal(t, http.StatusOK, page.status)
	require.Contains(t, page.body, `<td class="id">`+found.Number+`</td>`)
	require.NotContains(t, page.body, another.Number)
	require.Equal(t, http.StatusBadRequest, admin.get("/dashboard?number=0").status)
	var list struct{ Items []struct{ ID, Number string } }
	admin.get("/api/bookings?number="+typed).into(t, &list)
	require.Len(t, list.Items, 1)
	require.Equal(t, found.Number, list.Items[0].Number)
	require.Equal(t, http.StatusUnauthorized, ada.get("/api/bookings?number="+typed).status)
	require.Equal(t, http.StatusUnauthorized, ada.get("/api/bookings/"+found.Number).status, "a number opens nothing")
}
