package pages_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/pages"
)

func TestNew_RefusesIncompleteOptions(t *testing.T) {
	t.Parallel()
	d := deps(testdb.New(t))
	for _, address := range []string{"", "/booking", "https://example.com/booking/", "https://%"} {
		_, err := pages.New(d, pages.Options{URL: address})
		require.ErrorContains(t, err, "URL", "%q", address)
	}
	_, err := pages.New(pages.Deps{}, pages.Options{URL: baseURL})
	require.ErrorContains(t, err, "required")
	d.Auth = nil
	_, err = pages.New(d, pages.Options{URL: baseURL})
	require.ErrorContains(t, err, "Guard")
}

var link = regexp.MustCompile(`(?:href|action)="([^"]*)"|url=([^"]*)"`)

// A customer books, comes back, moves and cancels; no link or redirect leaves the prefix.
func TestServeHTTP_LinksStayBelowPrefix(t *testing.T) {
	t.Parallel()
	p, err := pages.New(deps(testdb.New(t)), pages.Options{
		URL: baseURL, CalendarPath: func(id, _ string) string { return "/booking/calendar/" + id },
	})
	require.NoError(t, err)
	send := func(method, path string, form url.Values) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		for _, found := range link.FindAllStringSubmatch(w.Body.String(), -1) {
			to := strings.TrimPrefix(found[1]+found[2], "https://example.com")
			require.True(t, strings.HasPrefix(to, "/booking/"), "%s has a link to %s", path, to)
		}
		to := strings.TrimPrefix(w.Header().Get("Location"), "https://example.com")
		require.True(t, to == "" || strings.HasPrefix(to, "/booking/"), "%s redirects to %s", path, to)
		return w
	}
	w := send("GET", "/booking/", nil)
	require.Equal(t, 200, w.Code)
	start := regexp.MustCompile(`name="start" value="([^"]*)"`).FindAllStringSubmatch(w.Body.String(), -1)
	w = send("POST", "/booking/book", url.Values{
		"start": {strings.ReplaceAll(start[len(start)-1][1], "&#43;", "+")}, "resource": {"court"}, "party": {"1"},
		"firstName": {"Ada"}, "lastName": {"Lovelace"}, "email": {"ada@example.com"}, "key": {"k"},
	})
	require.Equal(t, 303, w.Code, w.Body)
	page := strings.TrimPrefix(w.Header().Get("Location"), "https://example.com")
	w = send("GET", page, nil)
	require.Contains(t, w.Body.String(), "Your booking is confirmed")
	require.Contains(t, w.Body.String(), "/booking/calendar/")
	_, query, _ := strings.Cut(page, "?")
	owner, err := url.ParseQuery(query)
	require.NoError(t, err)
	for _, path := range []string{"/booking/booking/move?" + query, "/booking/booking/cancel?" + query,
		"/booking/login", "/booking/cancel"} {
		require.Equal(t, 200, send("GET", path, nil).Code, path)
	}
	require.Equal(t, 400, send("POST", "/booking/booking/move", owner).Code)
	require.Equal(t, 303, send("POST", "/booking/booking/cancel", owner).Code)
	require.Equal(t, http.StatusFound, send("GET", "/booking/dashboard", nil).Code)
	require.Equal(t, 200, send("GET", "/booking/static/style.css", nil).Code)
	require.Equal(t, 404, send("GET", "/booking/static/nothing.css", nil).Code)
	require.Equal(t, 404, send("GET", "/booking/nothing", nil).Code)
}
