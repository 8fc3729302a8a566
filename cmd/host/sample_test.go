package main_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
)

// The first start adds the sample; later starts leave resources alone, and production
// gets none.
func TestSample_EmptyDevelopmentDatabase(t *testing.T) {
	t.Parallel()
	url := testdb.URL(t)
	h := startHost(t, map[string]string{"DATABASE_URL": url})
	require.Equal(t, 1, h.count("resources"))
	require.NoError(t, h.stop())
	_, err := h.db.Exec(`UPDATE booking_platform.resources SET slug = 'mine'`)
	require.NoError(t, err)
	h = startHost(t, map[string]string{"DATABASE_URL": url})
	require.Equal(t, 1, h.count("resources"))

	produced := startHost(t, map[string]string{
		"APP_ENV": "production", "BIND_ADDRESS": "127.0.0.1", "APP_URL": "https://booking.example.com",
		"SESSION_SECRET":    strings.Repeat("s", 32),
		"STRIPE_SECRET_KEY": "sk_test_x", "STRIPE_WEBHOOK_SECRET": "whsec_12345678",
	})
	require.Zero(t, produced.count("resources"))
	c := produced.client()
	page := c.get("/")
	require.Contains(t, page.body, "Nothing can be booked yet")
	require.NotContains(t, page.body, "stand-in")
	require.Equal(t, "max-age=63072000", page.header.Get("Strict-Transport-Security"))
	require.Equal(t, http.StatusNotFound, c.get("/stripe/v1/checkout/sessions").status)
	a := c.post("/auth/login", m{"email": adminEmail, "password": adminPassword})
	require.Equal(t, http.StatusOK, a.status)
	require.Contains(t, a.header.Get("Set-Cookie"), "__Host-")
	require.Contains(t, a.header.Get("Set-Cookie"), "Secure")
}
