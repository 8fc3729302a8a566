package main_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
)

const (
	oldSecret = "an old secret of 32 bytes or more and made up"
	newSecret = "a new secret of 32 bytes or more and made up"
)

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	require.NoError(t, err)
	return u
}

// A copy of the database does not contain the links.
func TestOwnerToken_StoredHashed(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	ada := h.client()
	b := ada.book("studio", mustTime(t, ada.slot(0)), true)
	for _, table := range []string{"bookings", "payments", "payment_events", "booking_history", "hold_quota"} {
		var found int
		require.NoError(t, h.db.QueryRow(`SELECT count(*) FROM booking_platform.`+table+
			` x WHERE x::text LIKE '%' || $1::text || '%'`, b.Token).Scan(&found))
		require.Zero(t, found, table)
	}
	require.NotContains(t, h.log.String(), b.Token)
}

// M3: With a new secret before the old one everything works. Without the old one its
// links, calendar files, feeds, sessions and cookies do not.
func TestOwnerToken_SessionSecretRetired(t *testing.T) {
	t.Parallel()
	database := testdb.URL(t)
	env := map[string]string{"DATABASE_URL": database, "SESSION_SECRET": oldSecret, "DATA_DIR": t.TempDir()}
	before := startHost(t, env)
	ada, admin := before.client(), before.admin()
	start := ada.slot(0)
	var b, repeat created
	ada.post("/api/bookings", wish(start, nil), "Idempotency-Key", "k").into(t, &b)
	_, err := before.StripeFake().Pay(t.Context(), b.StripeSessionID)
	require.NoError(t, err)
	eventually(t, "the booking is confirmed", func() bool {
		var v shown
		ada.get("/api/bookings/"+b.ID+"?token="+b.Token).into(t, &v)
		return v.Status == "confirmed"
	})
	var feed struct{ URL string }
	admin.post("/api/resources/studio/feeds", nil).into(t, &feed)
	feedPath := feed.URL[strings.LastIndex(feed.URL, "/calendar/"):]
	cookies := func() (session, device string) {
		for _, c := range admin.http.Jar.Cookies(mustURL(t, before.URL())) {
			switch c.Name {
			case "booking_session":
				session = c.Name + "=" + c.Value
			case "booking_device":
				device = c.Name + "=" + c.Value
			}
		}
		return session, device
	}
	session, device := cookies()
	require.NotEmpty(t, session)
	require.NotEmpty(t, device)
	query := "booking=" + b.ID + "&token=" + b.Token
	paths := []string{
		"/api/bookings/" + b.ID + "?token=" + b.Token, "/api/bookings/" + b.ID + "/calendar.ics?token=" + b.Token,
		"/success?" + query, "/booking/cancel?" + query, "/booking/move?" + query, feedPath,
	}
	// The page after Stripe and a repeated request return a token only if its secret is
	// left.
	look := func(secrets string, status, sessionStatus int, told bool) {
		after := startHost(t, map[string]string{"DATABASE_URL": database, "SESSION_SECRET": secrets}).client()
		for _, path := range paths {
			require.Equal(t, status, after.get(path).status, path)
		}
		for _, post := range []string{"cancel", "reschedule"} {
			if status != http.StatusOK {
				a := after.post("/api/bookings/"+b.ID+"/"+post, m{"start": start}, "Authorization", "Bearer "+b.Token)
				require.Equal(t, status, a.status, post)
			}
		}
		require.Equal(t, sessionStatus, after.get("/auth/me", "Cookie", session).status)
		page := after.get("/success?session_id=" + b.StripeSessionID)
		require.Equal(t, http.StatusOK, page.status)
		require.Equal(t, told, keepLink.MatchString(page.body))
		repeat = created{}
		after.post("/api/bookings", wish(start, nil), "Idempotency-Key", "k").into(t, &repeat)
		require.Equal(t, told, repeat.Token == b.Token)
	}
	look(newSecret+","+oldSecret, http.StatusOK, http.StatusOK, true)
	look(newSecret, http.StatusNotFound, http.StatusUnauthorized, false)

	// The token of the old secret, without the database.
	forged := startHost(t, map[string]string{"SESSION_SECRET": oldSecret})
	stolen := forged.client()
	var made created
	stolen.post("/api/bookings", wish(stolen.slot(0), nil)).into(t, &made)
	_, err = forged.db.Exec(`DELETE FROM booking_platform.payments`)
	require.NoError(t, err)
	_, err = forged.db.Exec(`UPDATE booking_platform.bookings SET id = $1::uuid WHERE id = $2::uuid`, b.ID, made.ID)
	require.NoError(t, err)
	derived, err := forged.Bookings().WithOwnerToken(t.Context(), b.ID)
	require.NoError(t, err)
	for _, secrets := range []string{oldSecret, newSecret} {
		c := startHost(t, map[string]string{"DATABASE_URL": database, "SESSION_SECRET": secrets}).client()
		require.Equal(t, http.StatusNotFound, c.get("/api/bookings/"+b.ID+"?token="+derived.OwnerToken).status)
	}

	// One command makes new links.
	env["SESSION_SECRET"] = newSecret
	status, stdout, stderr := command(t, env, "booking", "renew-links")
	require.Equal(t, 0, status, stderr)
	require.Equal(t, "1 link renewed\n", stdout)
	after := startHost(t, env).client()
	require.Equal(t, http.StatusNotFound, after.get(paths[0]).status)
	page := after.get("/success?session_id=" + b.StripeSessionID)
	link := keepLink.FindStringSubmatch(page.body)
	require.NotEmpty(t, link)
}

func TestOwnerToken_RenewLink(t *testing.T) {
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
	require.Contains(t, ada.get("/success?session_id="+b.StripeSessionID).body, link.Token,
		"the page after Stripe tells the new one")
	for _, id := range []string{"x", "01936f4e-0000-7000-8000-000000000001"} {
		require.Equal(t, http.StatusNotFound, admin.post("/api/bookings/"+id+"/renew-link", nil).status)
	}
}

// A session id opens the booking's page with the link, so only customers and those who
// may renew links get it.
func TestSessionID_HiddenFromReadOnly(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	ada := h.client()
	var b created
	ada.post("/api/bookings", wish(ada.slot(0), nil)).into(t, &b)
	_, err := h.StripeFake().Pay(t.Context(), b.StripeSessionID)
	require.NoError(t, err)
	require.Contains(t, ada.get("/api/bookings/"+b.ID+"?token="+b.Token).body, b.StripeSessionID)
	for role, told := range map[string]bool{"READONLY": false, "SOMETHING": false, "OPS": true, "ADMIN": true} {
		_, err := h.db.Exec(`UPDATE booking_platform.users SET role = $1`, role)
		require.NoError(t, err)
		c := h.admin()
		for _, path := range []string{"/payments", "/api/bookings/" + b.ID} {
			a := c.get(path)
			require.Equal(t, 200, a.status)
			require.Contains(t, a.body, `"stripeSessionId"`)
			if told {
				require.Contains(t, a.body, b.StripeSessionID, "%s %s", role, path)
			} else {
				require.NotContains(t, a.body, "cs_", "%s %s", role, path)
			}
		}
		for _, path := range []string{"/api/bookings", "/reservations", "/dashboard",
			"/api/bookings/" + b.ID + "/calendar.ics"} {
			require.NotContains(t, c.get(path).body, "cs_", "%s %s", role, path)
		}
	}
}

// The access log has the user's id for API and pages, and none without a session.
func TestAccessLog_User(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	h.client().get("/api/bookings")
	admin := h.admin()
	admin.get("/api/bookings")
	admin.get("/dashboard")
	var me struct{ User struct{ ID string } }
	admin.get("/auth/me").into(t, &me)
	require.NotEmpty(t, me.User.ID)
	require.NoError(t, h.stop())

	seen := map[string][]string{}
	for line := range strings.Lines(h.log.String()) {
		var l struct {
			Msg, Path string
			UserID    string `json:"user_id"`
		}
		if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "request" {
			seen[l.Path] = append(seen[l.Path], l.UserID)
		}
	}
	require.Equal(t, []string{"", me.User.ID}, seen["/api/bookings"])
	require.Equal(t, []string{me.User.ID}, seen["/dashboard"])
}
