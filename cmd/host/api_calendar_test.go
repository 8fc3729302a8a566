package main_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-ical"
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
)

func (a answer) calendar(t *testing.T) *ical.Calendar {
	t.Helper()
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.Equal(t, "text/calendar; charset=utf-8", a.header.Get("Content-Type"))
	cal, err := ical.NewDecoder(strings.NewReader(a.body)).Decode()
	require.NoError(t, err, a.body)
	return cal
}

func requireNotFound(t *testing.T, a answer) {
	t.Helper()
	require.Equal(t, http.StatusNotFound, a.status, a.body)
	code, _ := a.code(t)
	require.Equal(t, "not_found", code)
	require.Equal(t, "no-store", a.header.Get("Cache-Control"))
	require.Empty(t, a.header.Get("Content-Disposition"))
}

func unfolded(file string) string { return strings.ReplaceAll(file, "\r\n ", "") }

var calendarLink = regexp.MustCompile(`href="([^"]+)">Add to your calendar`)

// M30: The page of a confirmed booking links to the file.
func TestAPICalendar_File(t *testing.T) {
	t.Parallel()
	h := startHost(t, map[string]string{"APP_URL": "http://booking.localhost:3000"})
	ada := h.client()
	var b created
	ada.post("/api/bookings", wish(ada.slot(0), nil)).into(t, &b)
	path := "/api/bookings/" + b.ID + "/calendar.ics"
	page := "/success?booking=" + b.ID + "&token=" + b.Token
	requireNotFound(t, ada.get(path+"?token="+b.Token))
	require.NotContains(t, ada.get(page).body, "Add to your calendar")

	_, err := h.Bookings().Confirm(t.Context(), b.ID)
	require.NoError(t, err)
	link := first(t, calendarLink, ada.get(page).body)
	require.Equal(t, path+"?token="+b.Token, link)
	stored, err := h.Bookings().Get(t.Context(), b.ID)
	require.NoError(t, err)
	a := ada.get(link)
	props := a.calendar(t).Events()[0].Props
	require.Regexp(t, `^attachment; filename="studio-\d{4}-\d\d-\d\d\.ics"$`, a.header.Get("Content-Disposition"))
	require.Equal(t, "no-store", a.header.Get("Cache-Control"))
	require.Equal(t, b.ID+"@booking.localhost", props.Get("UID").Value)
	require.Equal(t, stored.Start.Format("20060102T150405Z"), props.Get("DTSTART").Value)
	// The file can be forwarded: it contains no token.
	require.Nil(t, props.Get("URL"))
	require.NotContains(t, unfolded(a.body), b.Token)
	require.NotContains(t, unfolded(a.body), "token")

	// Staff get the same file.
	require.Equal(t, a.body, h.admin().get(path).body)
	require.Equal(t, http.StatusUnauthorized, ada.get(path).status)
	requireNotFound(t, ada.get(path+"?token=x"))
	requireNotFound(t, h.admin().get("/api/bookings/01936f4e-0000-7000-8000-000000000001/calendar.ics"))

	moved, err := h.Bookings().Reschedule(t.Context(),
		booking.RescheduleRequest{ID: b.ID, Start: instant(t, ada.slot(5))})
	require.NoError(t, err)
	again := ada.get(link).calendar(t).Events()[0].Props
	require.Equal(t, props.Get("UID"), again.Get("UID"))
	require.Equal(t, moved.Start.Format("20060102T150405Z"), again.Get("DTSTART").Value)
	require.Equal(t, "1", again.Get("SEQUENCE").Value)
	require.NotContains(t, h.log.String(), b.Token)
}

func instant(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return at
}

func TestAPICalendar_PrivateFeed(t *testing.T) {
	t.Parallel()
	h := startHost(t, map[string]string{"APP_URL": "http://booking.localhost:3000"})
	admin, ada := h.admin(), h.client()
	var b created
	ada.post("/api/bookings", wish(ada.slot(0), nil)).into(t, &b)
	a := admin.post("/api/resources/studio/feeds", nil)
	require.Equal(t, http.StatusCreated, a.status, a.body)
	require.Equal(t, "no-store", a.header.Get("Cache-Control"))
	var made struct{ URL string }
	a.into(t, &made)
	path, ok := strings.CutPrefix(made.URL, "http://booking.localhost:3000")
	require.True(t, ok, made.URL)
	require.Regexp(t, `^/calendar/[A-Za-z0-9_-]{56}\.ics$`, path)
	token := strings.TrimSuffix(strings.TrimPrefix(path, "/calendar/"), ".ics")

	// Polling needs no session and uses the ETag.
	a = ada.get(path)
	cal := a.calendar(t)
	require.Equal(t, "The Studio", cal.Props.Get("X-WR-CALNAME").Value)
	require.Len(t, cal.Events(), 1)
	require.Equal(t, "Ada Lovelace", cal.Events()[0].Props.Get("SUMMARY").Value)
	require.Equal(t, "TENTATIVE", cal.Events()[0].Props.Get("STATUS").Value)
	require.Equal(t, b.ID+"@booking.localhost", cal.Events()[0].Props.Get("UID").Value)
	require.Equal(t, "private, no-cache", a.header.Get("Cache-Control"))
	require.Empty(t, a.header.Get("Content-Disposition"))
	tag := a.header.Get("ETag")
	require.Regexp(t, `^"[0-9a-f]{32}"$`, tag)
	for _, known := range []string{tag, `"other", ` + tag, "W/" + tag} {
		same := ada.get(path, "If-None-Match", known)
		require.Equal(t, http.StatusNotModified, same.status)
		require.Empty(t, same.body)
		require.Equal(t, tag, same.header.Get("ETag"))
	}
	head := ada.do(http.MethodHead, path, "", nil)
	require.Equal(t, http.StatusOK, head.status)
	require.Equal(t, tag, head.header.Get("ETag"))
	_, err := h.Bookings().Confirm(t.Context(), b.ID)
	require.NoError(t, err)
	a = ada.get(path, "If-None-Match", tag)
	require.Equal(t, "CONFIRMED", a.calendar(t).Events()[0].Props.Get("STATUS").Value)
	require.NotEqual(t, tag, a.header.Get("ETag"))

	wrong := strings.ToLower(token)
	for _, path := range []string{"/calendar/" + wrong + ".ics", "/calendar/" + token, "/calendar/" + token + ".ics/",
		"//calendar/" + token + ".ics", "/x/calendar/" + token, "/calendar/x.ics", "/calendar/.ics", "/calendar/"} {
		requireNotFound(t, ada.get(path))
	}
	a = admin.do(http.MethodDelete, "/api/resources/studio/feeds", "", nil)
	require.Equal(t, http.StatusOK, a.status)
	require.JSONEq(t, `{"deleted":1}`, a.body)
	requireNotFound(t, ada.get(path, "If-None-Match", tag))
	for _, method := range []string{http.MethodPost, http.MethodDelete} {
		requireNotFound(t, admin.do(method, "/api/resources/unknown/feeds", "", nil))
	}

	// The access log does not contain the token.
	log := h.log.String()
	require.Contains(t, log, `"path":"/calendar/…"`)
	require.Contains(t, log, `/calendar/{token}.ics`)
	require.NotContains(t, log, token)
	require.NotContains(t, log, wrong)
}

func TestAPICalendar_FeedsNeedStaff(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	stranger := h.client()
	for role, may := range map[string]bool{"READONLY": false, "SOMETHING": false, "OPS": true, "ADMIN": true} {
		_, err := h.db.Exec(`UPDATE booking_platform.users SET role = $1`, role)
		require.NoError(t, err)
		c := h.admin()
		created, deleted := http.StatusForbidden, http.StatusForbidden
		if may {
			created, deleted = http.StatusCreated, http.StatusOK
		}
		require.Equal(t, created, c.post("/api/resources/studio/feeds", nil).status, role)
		require.Equal(t, deleted, c.do(http.MethodDelete, "/api/resources/studio/feeds", "", nil).status, role)
	}
	require.Zero(t, h.count("calendar_feeds"))
	require.Equal(t, http.StatusUnauthorized, stranger.post("/api/resources/studio/feeds", nil).status)
	require.Equal(t, http.StatusUnauthorized,
		stranger.do(http.MethodDelete, "/api/resources/studio/feeds", "", nil).status)
	evil := h.admin().do(http.MethodPost, "/api/resources/studio/feeds", "", nil, "Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, evil.status, "another site opens none in a member's browser")
}
