package pages_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/pages"
)

var listedResource = regexp.MustCompile(`href="/booking/\?resource=(room-\d+|court)"`)

// With many resources the front page is a list with pages and a search, and a booking
// page does not link to all of them.
func TestFront_ManyResources(t *testing.T) {
	t.Parallel()
	d := deps(testdb.New(t))
	for n := range 70 {
		_, err := d.Bookings.CreateResource(t.Context(), booking.Resource{
			Slug: fmt.Sprintf("room-%02d", n), Name: fmt.Sprintf("Room %02d", n), TimeZone: "Asia/Tokyo",
			SlotLength: time.Hour, Capacity: 2, Price: booking.Money{Minor: 2500, Currency: "eur"},
		})
		require.NoError(t, err)
	}
	p, err := pages.New(d, pages.Options{URL: baseURL, Guard: func(next http.Handler) http.Handler { return next }})
	require.NoError(t, err)
	get := func(path string) (int, string) {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		return w.Code, w.Body.String()
	}

	seen := map[string]bool{}
	path, visited := "/booking/", 0
	for path != "" {
		status, body := get(path)
		require.Equal(t, 200, status)
		for _, found := range listedResource.FindAllStringSubmatch(body, -1) {
			require.False(t, seen[found[1]], found[1])
			seen[found[1]] = true
		}
		require.Contains(t, body, "71 in all")
		next := regexp.MustCompile(`href="([^"]*)">Next page`).FindStringSubmatch(body)
		path, visited = "", visited+1
		if next != nil {
			path = strings.ReplaceAll(next[1], "&amp;", "&")
		}
	}
	require.Len(t, seen, 71)
	require.Equal(t, 3, visited)

	_, body := get("/booking/?q=room+42")
	require.Equal(t, [][]string{{`href="/booking/?resource=room-42"`, "room-42"}},
		listedResource.FindAllStringSubmatch(body, -1))
	require.Contains(t, body, "EUR 25.00 per person")
	_, body = get("/booking/?q=" + url.QueryEscape(`"><b>`))
	require.Contains(t, body, "Nothing has this name.")
	require.NotContains(t, body, "<b>")
	for _, path := range []string{"/booking/?after=x", "/booking/?q=%00"} {
		status, body := get(path)
		require.Equal(t, 400, status, path)
		require.Contains(t, body, "This page does not exist")
	}

	status, body := get("/booking/?resource=room-69")
	require.Equal(t, 200, status)
	require.Contains(t, body, "<h1>Room 69</h1>")
	require.Contains(t, body, "All that can be booked")
	require.NotContains(t, body, "Room 00")
	status, _ = get("/booking/?resource=room-99")
	require.Equal(t, 404, status)

	_, body = get("/booking/dashboard?resource=room-69")
	require.Contains(t, body, `name="resource" value="room-69"`)
	require.NotContains(t, body, "<option value=\"room")
}

// A resource that cannot be booked has no page, also if there are many.
func TestFront_InactiveResource(t *testing.T) {
	t.Parallel()
	d := deps(testdb.New(t))
	for n := range 14 {
		_, err := d.Bookings.CreateResource(t.Context(), booking.Resource{
			Slug: fmt.Sprintf("room-%02d", n), Name: fmt.Sprintf("Room %02d", n), TimeZone: "Asia/Tokyo",
			SlotLength: time.Hour, Price: booking.Money{Currency: "eur"}, Inactive: n == 13,
		})
		require.NoError(t, err)
	}
	p, err := pages.New(d, pages.Options{URL: baseURL})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/booking/?resource=room-13", nil))
	require.Equal(t, 404, w.Code)
}
