package main_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Every address gets the same answer, and only coming bookings get a mail.
func TestPagesLinks_MailedToTheAddress(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	ada := h.client()
	first := ada.book("studio", mustTime(t, ada.slot(0)), true)
	second := ada.book("studio", mustTime(t, ada.slot(1)), false)
	require.Contains(t, ada.get("/").body, `href="/links"`)
	a := ada.form("/links", url.Values{"email": {"ADA@example.com"}})
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.Equal(t, http.StatusOK, ada.form("/links", url.Values{"email": {"unknown@example.com"}}).status)
	sent := func(id string) (n int) {
		require.NoError(t, h.db.QueryRow(`SELECT count(*) FROM booking_platform.messages
			WHERE kind = 'customer.link' AND reference = $1`, id).Scan(&n))
		return n
	}
	require.Eventually(t, func() bool { return sent(first.ID) == 1 && sent(second.ID) == 1 }, time.Minute,
		50*time.Millisecond)
	require.Equal(t, 2, h.count("messages WHERE kind = 'customer.link'"))
	require.Equal(t, 2, h.count("messages WHERE kind = 'host.links'"))
}
