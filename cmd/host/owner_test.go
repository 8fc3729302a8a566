package main_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
)

const (
	oldSecret = "an old secret of 32 bytes or more and made up"
	newSecret = "a new secret of 32 bytes or more and made up"
)

// The database has nothing by which somebody who reads it could open a customer's link.
func TestTokensAreStoredHashed(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	ada := h.client()
	b := ada.book("studio", mustTime(t, ada.slot(0)), true)
	for _, table := range []string{"bookings", "payments", "payment_events", "booking_history", "hold_quota"} {
		var found int
		require.NoError(t, h.db.QueryRow(`SELECT count(*) FROM booking_platform.`+table+` x WHERE x::text LIKE '%' || $1::text || '%'`, b.Token).Scan(&found))
		require.Zero(t, found, table)
	}
	require.NotContains(t, h.log.String(), b.Token)
}

// A customer's link outlives the secret it was made with; only the page after Stripe can no longer tell it.
func TestLinksOutliveASecret(t *testing.T) {
	t.Parallel()
	url := testdb.URL(t)
	before := startHost(t, map[string]string{"DATABASE_URL": url, "SESSION_SECRET": oldSecret})
	ada := before.client()
	start := ada.slot(0)
	var b, repeat created
	ada.post("/api/bookings", wish(start, nil), "Idempotency-Key", "k").into(t, &b)
	for secrets, told := range map[string]bool{newSecret + "," + oldSecret: true, newSecret: false} {
		after := startHost(t, map[string]string{"DATABASE_URL": url, "SESSION_SECRET": secrets}).client()
		require.Equal(t, http.StatusOK, after.get("/api/bookings/"+b.ID+"?token="+b.Token).status)
		require.Equal(t, http.StatusOK, after.get("/success?booking="+b.ID+"&token="+b.Token).status)
		page := after.get("/success?session_id=" + b.StripeSessionID)
		require.Equal(t, http.StatusOK, page.status)
		require.Equal(t, told, keepLink.MatchString(page.body))
		after.post("/api/bookings", wish(start, nil), "Idempotency-Key", "k").into(t, &repeat)
		require.Equal(t, told, repeat.Token == b.Token)
	}
}

// Staff make another link, and the one that somebody should not have is dead.
func TestRenewLink(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	ada, admin := h.client(), h.admin()
	b := ada.book("studio", mustTime(t, ada.slot(0)), false)
	require.Equal(t, http.StatusUnauthorized, ada.act(b, "renew-link", nil).status, "its owner cannot")
	var link struct{ URL, Token string }
	a := admin.post("/api/bookings/"+b.ID+"/renew-link", nil)
	require.Equal(t, http.StatusOK, a.status, a.body)
	a.into(t, &link)
	require.Equal(t, http.StatusNotFound, ada.get("/api/bookings/"+b.ID+"?token="+b.Token).status)
	require.Equal(t, http.StatusNotFound, ada.get("/booking/cancel?booking="+b.ID+"&token="+b.Token).status)
	require.Equal(t, http.StatusOK, ada.get("/api/bookings/"+b.ID+"?token="+link.Token).status)
	require.Equal(t, http.StatusOK, ada.get(link.URL).status)
	require.Contains(t, ada.get("/success?session_id="+b.StripeSessionID).body, link.Token, "the page after Stripe tells the new one")
	for _, id := range []string{"x", "01936f4e-0000-7000-8000-000000000001"} {
		require.Equal(t, http.StatusNotFound, admin.post("/api/bookings/"+id+"/renew-link", nil).status)
	}
}
