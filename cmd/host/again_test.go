package main_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// Stripe cannot be asked: the page keeps what was typed, and the time is free again.
func TestPageStripeUnavailable(t *testing.T) {
	t.Parallel()
	h := startHost(t, map[string]string{
		"STRIPE_SECRET_KEY": "sk_test_x", "STRIPE_WEBHOOK_SECRET": "whsec_12345678",
		"STRIPE_API_BASE": "http://127.0.0.1:1",
	})
	c := h.client()
	page := c.get("/?from=" + soon()).body
	require.NotContains(t, page, "stand-in")
	start, key := first(t, slotInput, page), first(t, keyInput, page)
	a := c.form("/book", filled(start, key))
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.Contains(t, a.body, "Nothing was charged and nothing is booked")
	require.Contains(t, a.body, `value="ada@example.com"`)
	require.NotEqual(t, key, first(t, keyInput, a.body))
	require.Equal(t, start, first(t, slotInput, c.get("/?from="+soon()).body))
}

// The same form again, after its hold has ended, is told so, and can be sent once more.
func TestPageAfterTheHoldEnded(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	c := h.client()
	page := c.get("/?from=" + soon()).body
	form := filled(first(t, slotInput, page), first(t, keyInput, page))
	require.Equal(t, http.StatusSeeOther, c.form("/book", form).status)
	_, err := h.db.Exec(`UPDATE booking_platform.bookings SET status = 'expired'`)
	require.NoError(t, err)

	a := c.form("/book", form)
	require.Equal(t, http.StatusConflict, a.status)
	require.Contains(t, a.body, "Your earlier hold on this time has ended")
	form.Set("key", first(t, keyInput, a.body))
	require.Equal(t, http.StatusSeeOther, c.form("/book", form).status)

	// What was shown is no longer there at all.
	_, err = h.db.Exec(`UPDATE booking_platform.resources SET active = false WHERE slug = 'studio'`)
	require.NoError(t, err)
	form.Set("key", "another")
	require.Contains(t, c.form("/book", form).body, "Nothing can be booked yet")
}

// Lists come in pages, newest first, and each says where the next one begins.
func TestPaging(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	ada, admin := h.client(), h.admin()
	var made [3]created
	for i := range made {
		ada.post("/api/bookings", wish(ada.slot(0), nil)).into(t, &made[i])
		_, err := h.StripeFake().Pay(t.Context(), made[i].StripeSessionID)
		require.NoError(t, err)
	}
	for path, newest := range map[string]string{"/reservations": made[2].ID, "/payments": made[2].StripeSessionID} {
		// Bookings go on after a cursor, and events before an event.
		goOn := map[string]string{"/reservations": "&after=", "/payments": "&before="}[path]
		var seen []string
		next := ""
		for range 4 {
			var list struct {
				Items []struct{ ID, StripeSessionID string }
				Meta  struct {
					Count int
					Next  string
				}
			}
			address := path + "?limit=2"
			if next != "" {
				address += goOn + url.QueryEscape(next)
			}
			admin.get(address).into(t, &list)
			require.Len(t, list.Items, list.Meta.Count)
			for _, item := range list.Items {
				seen = append(seen, item.ID+" "+item.StripeSessionID)
			}
			if next = list.Meta.Next; next == "" {
				break
			}
		}
		require.Len(t, seen, 3, path)
		require.Contains(t, seen[0], newest, "the newest first")
	}
}
