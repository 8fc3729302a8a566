package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/api"
	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// serve answers a request below the prefix.
func serve(t *testing.T, h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestNew_RefusesIncompleteOptions(t *testing.T) {
	t.Parallel()
	d := deps(testdb.New(t))
	for _, url := range []string{"", "/booking", "example.com/booking", "https://example.com/booking/", "https://%"} {
		_, err := api.New(d, api.Options{URL: url})
		require.ErrorContains(t, err, "URL", "%q", url)
	}
	_, err := api.New(api.Deps{}, api.Options{URL: baseURL})
	require.ErrorContains(t, err, "required")
	d.Auth = nil
	_, err = api.New(d, api.Options{URL: baseURL})
	require.ErrorContains(t, err, "Guard")
}

func TestServeHTTP_BelowPrefix(t *testing.T) {
	t.Parallel()
	d := deps(testdb.New(t))
	a, err := api.New(d, api.Options{URL: baseURL, RequestID: func(context.Context) string { return "r-1" }})
	require.NoError(t, err)

	w := serve(t, a, "GET", "/booking/api/resources", "")
	require.Equal(t, 200, w.Code)
	require.Contains(t, w.Body.String(), `"slug":"court"`)

	w = serve(t, a, "GET", "/booking/api/resources/court/next", "")
	require.Equal(t, 200, w.Code, w.Body)
	var slot struct{ Start string }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &slot))

	w = serve(t, a, "POST", "/booking/api/bookings",
		`{"start":"`+slot.Start+`","firstName":"Ada","lastName":"Lovelace","email":"ada@example.com"}`)
	require.Equal(t, 201, w.Code, w.Body)
	var b struct{ ID, Token, URL, Status string }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &b))
	require.Equal(t, "confirmed", b.Status)
	require.True(t, strings.HasPrefix(b.URL, baseURL+"/success?"), b.URL)

	w = serve(t, a, "GET", a.CalendarPath(b.ID, b.Token), "")
	require.Equal(t, 200, w.Code, w.Body)
	require.Contains(t, w.Body.String(), "@example.com", "the UID")

	token, err := d.Bookings.CreateFeed(t.Context(), "court")
	require.NoError(t, err)
	require.Equal(t, 200, serve(t, a, "GET", "/booking/calendar/"+token+".ics", "").Code)
	require.Equal(t, 404, serve(t, a, "GET", "/booking/calendar/"+token, "").Code)

	for _, path := range []string{"/api/resources", "/booking/nothing", "/"} {
		w = serve(t, a, "GET", path, "")
		require.Equal(t, 404, w.Code, path)
		require.JSONEq(t, `{"error":"not_found","requestId":"r-1"}`, w.Body.String())
	}
	w = serve(t, a, "DELETE", "/booking/api/resources", "")
	require.Equal(t, 405, w.Code)
	require.JSONEq(t, `{"error":"method_not_allowed","requestId":"r-1"}`, w.Body.String())
	require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
}

// Each route is below one of the paths, and nothing of package pages is.
func TestPaths_HaveEveryRoute(t *testing.T) {
	t.Parallel()
	a, err := api.New(deps(testdb.New(t)), api.Options{URL: baseURL})
	require.NoError(t, err)
	mux := http.NewServeMux()
	for _, path := range a.Paths() {
		mux.Handle(path, a)
	}
	for _, route := range a.Routes() {
		_, pattern := mux.Handler(httptest.NewRequest(route.Method, route.Path, nil))
		require.NotEmpty(t, pattern, route.Path)
	}
	for _, path := range []string{"/booking/", "/booking/book", "/booking/success", "/booking/static/style.css",
		"/booking/booking/cancel", "/booking/dashboard", "/booking/login"} {
		_, pattern := mux.Handler(httptest.NewRequest("GET", path, nil))
		require.Empty(t, pattern, path)
	}
}

// Guard and User replace package auth.
func TestOptions_GuardReplacesAuth(t *testing.T) {
	t.Parallel()
	d := deps(testdb.New(t))
	d.Auth = nil
	role := ""
	a, err := api.New(d, api.Options{
		URL:  baseURL,
		User: func(context.Context) (auth.User, bool) { return auth.User{Role: role}, role != "" },
		Guard: func(next http.Handler, roles ...string) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if role == "" || len(roles) > 0 && role != roles[0] {
					w.WriteHeader(http.StatusTeapot)
					return
				}
				next.ServeHTTP(w, r)
			})
		},
	})
	require.NoError(t, err)
	for _, c := range []struct {
		role, path string
		status     int
	}{
		{"", "/booking/api/bookings", 418}, {"READONLY", "/booking/api/bookings", 200},
		{"READONLY", "/booking/admin/metrics", 418}, {"ADMIN", "/booking/admin/metrics", 200},
		{"ADMIN", "/booking/auth/me", 404},
	} {
		role = c.role
		require.Equal(t, c.status, serve(t, a, "GET", c.path, "").Code, "%+v", c)
	}
}
