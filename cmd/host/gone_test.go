package main_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	host "github.com/booking-platform/booking-platform/cmd/host"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// eventually polls a condition until it holds. The limit is for a machine that is busy:
// the stand-in waits up to a minute between deliveries.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			t.Fatal("never: " + what)
		case <-tick.C:
		}
	}
}

// The database goes away and comes back. Meanwhile every route answers soon, without a
// word of why; afterwards everything works again without a restart, and what was paid in
// between is confirmed by the next delivery.
func TestDatabaseGone(t *testing.T) {
	t.Parallel()
	proxy, through := newDBProxy(t, testdb.URL(t))
	h := startHost(t, map[string]string{"DATABASE_URL": through})
	ada, admin := h.client(), h.admin()
	start, later := ada.slot(0), ada.slot(1)
	var b created
	ada.post("/api/bookings", wish(start, nil)).into(t, &b)

	proxy.cut()
	_, err := h.StripeFake().Pay(t.Context(), b.StripeSessionID)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, ada.get("/health").status)
	for _, c := range []struct {
		who          *client
		method, path string
		body         any
	}{
		{ada, "GET", "/health/db", nil}, {ada, "GET", "/api/resources", nil},
		{ada, "GET", "/api/resources/studio/availability", nil},
		{ada, "POST", "/api/bookings", wish(later, nil)}, {ada, "POST", "/api/bookings", wish(later, m{"email": 1})},
		{ada, "GET", "/api/bookings/" + b.ID + "?token=" + b.Token, nil},
		{ada, "POST", "/api/bookings/" + b.ID + "/cancel?token=" + b.Token, nil},
		{admin, "GET", "/reservations", nil}, {admin, "GET", "/payments", nil}, {admin, "GET", "/auth/me", nil},
		{ada, "POST", "/auth/login", m{"email": adminEmail, "password": adminPassword}},
		{ada, "GET", "/", nil}, {ada, "GET", "/success?session_id=" + b.StripeSessionID, nil},
		{admin, "GET", "/dashboard", nil},
	} {
		began := time.Now()
		var a answer
		if c.method == "GET" {
			a = c.who.get(c.path)
		} else {
			a = c.who.post(c.path, c.body)
		}
		require.Equal(t, http.StatusServiceUnavailable, a.status, "%s %s: %s", c.method, c.path, a.body)
		require.Less(t, time.Since(began), 10*time.Second, c.path)
		for _, detail := range []string{"pq:", "refused", "dial", "127.0.0.1:", "SQLSTATE", "connection"} {
			require.NotContains(t, a.body, detail, c.path)
		}
	}
	require.Equal(t, http.StatusServiceUnavailable, ada.form("/book", filled(later, "k")).status)
	require.Equal(t, http.StatusServiceUnavailable,
		ada.form("/login", url.Values{"email": {adminEmail}, "password": {adminPassword}}).status)

	proxy.mend()
	eventually(t, "ready", func() bool { return ada.get("/health/db").status == http.StatusOK })
	require.Equal(t, http.StatusCreated, ada.post("/api/bookings", wish(later, nil)).status)
	require.Equal(t, http.StatusOK, admin.get("/auth/me").status, "the session is still there")
	eventually(t, "confirmed", func() bool {
		var v shown
		ada.get("/api/bookings/"+b.ID+"?token="+b.Token).into(t, &v)
		return v.Status == "confirmed"
	})
	require.Equal(t, 1, h.count("payment_events"))
}

// A server that is frozen sends nothing. The driver would wait for it whatever the
// context says; the host's connections do not.
func TestFrozenDatabaseIsGivenUp(t *testing.T) {
	t.Parallel()
	proxy, through := newDBProxy(t, testdb.URL(t))
	db, err := host.OpenDB(through, 3*time.Second)
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.PingContext(t.Context()))
	_, err = db.ExecContext(t.Context(), `SELECT pg_sleep(0.1)`)
	require.NoError(t, err)

	proxy.freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err = db.ExecContext(ctx, `SELECT 1`)
	require.Error(t, err)
	require.Less(t, time.Since(began), 10*time.Second)

	proxy.thaw()
	eventually(t, "answers again", func() bool { return db.PingContext(t.Context()) == nil })
}
