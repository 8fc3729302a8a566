package main_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/mux"
	"github.com/stretchr/testify/require"
)

// Public routes by method and path. All others need a session.
var public = []string{
	"GET /", "GET /book", "POST /book", "GET /links", "POST /links",
	"GET /success", "GET /cancel", "GET /login", "POST /login", "POST /logout", "GET /static/",
	"GET /health", "GET /health/db", "POST /webhook", "POST /auth/login", "POST /auth/logout",
	"GET /calendar/{token}.ics", "GET /openapi.json", "GET /docs",
	"POST /api/bookings", "POST /create-checkout-session", "GET /api/resources",
	"GET /api/resources/{resource}/availability", "GET /api/resources/{resource}/next",
	// These need the token of a booking.
	"POST /cancel", "GET /booking/cancel", "POST /booking/cancel", "GET /booking/move", "POST /booking/move",
	"* /stripe/",
	// In development only, as the stand-in.
	"GET /mailbox", "GET /mailbox/",
}

// pages redirect to /login; other guarded routes answer 401 JSON, whatever Accept says.
var pages = []string{"GET /dashboard"}

var variable = regexp.MustCompile(`\{[^}]*\}`)

func TestRoutes_PublicOrGuarded(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	stranger := h.client()
	seen := map[string]bool{}
	err := h.Routes().Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		template, err := route.GetPathTemplate()
		require.NoError(t, err)
		methods, err := route.GetMethods()
		if err != nil {
			methods = []string{"*"}
		}
		for _, method := range methods {
			if method == http.MethodHead {
				continue // Goes with its GET.
			}
			name := method + " " + template
			seen[name] = true
			if slices.Contains(public, name) {
				continue
			}
			path := variable.ReplaceAllString(template, "01936f4e-0000-7000-8000-000000000001")
			a := stranger.do(method, path, "application/json", strings.NewReader("{}"), "Accept", "text/html")
			if slices.Contains(pages, name) {
				require.Equal(t, http.StatusFound, a.status, name)
				require.Equal(t, "/login?next="+path, a.header.Get("Location"))
				continue
			}
			require.Equal(t, http.StatusUnauthorized, a.status, "%s has no guard", name)
			code, _ := a.code(t)
			require.Equal(t, "unauthorized", code, name)
			require.Equal(t, "no-store", a.header.Get("Cache-Control"), name)
		}
		return nil
	})
	require.NoError(t, err)
	for _, name := range append(public, pages...) {
		require.True(t, seen[name], "%s is in the list and not in the router", name)
	}
	require.Greater(t, len(seen), len(public))
}

func TestRoutes_UnknownPathsAndMethods(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	c := h.client()
	for path, accept := range map[string]string{"/nothing/here": "application/json", "/api/nothing": "text/html"} {
		a := c.get(path, "Accept", accept)
		require.Equal(t, http.StatusNotFound, a.status)
		code, _ := a.code(t)
		require.Equal(t, "not_found", code)
	}
	for path, allow := range map[string]string{
		"/api/bookings": "GET, HEAD, POST", "/webhook": "POST", "/create-checkout-session": "POST",
		"/health": "GET, HEAD", "/": "GET, HEAD",
		"/api/bookings/01936f4e-0000-7000-8000-000000000001/cancel":     "POST",
		"/api/bookings/01936f4e-0000-7000-8000-000000000001/reschedule": "POST",
		"/booking/move": "GET, HEAD, POST", "/book": "GET, HEAD, POST", "/auth/login": "POST",
	} {
		a := c.do(http.MethodDelete, path, "application/json", strings.NewReader("{}"))
		require.Equal(t, http.StatusMethodNotAllowed, a.status, path)
		require.Equal(t, allow, a.header.Get("Allow"), path)
		code, _ := a.code(t)
		require.Equal(t, "method_not_allowed", code)
	}
	require.Equal(t, http.StatusOK, c.do(http.MethodHead, "/health", "", nil).status)
	require.Equal(t, http.StatusOK, c.do(http.MethodHead, "/", "", nil).status)
}

func TestRoutes_Roles(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	ada := h.client()
	var b created
	ada.post("/api/bookings", wish(ada.slot(0), nil)).into(t, &b)
	for _, w := range []struct {
		role    string
		metrics int
		cancel  int
	}{
		{"READONLY", 403, 403}, {"SOMETHING", 403, 403}, {"OPS", 200, 200}, {"ADMIN", 200, 200},
	} {
		_, err := h.db.Exec(`UPDATE booking_platform.users SET role = $1`, w.role)
		require.NoError(t, err)
		c := h.admin()
		require.Equal(t, w.metrics, c.get("/admin/metrics").status, w.role)
		require.Equal(t, 200, c.get("/reservations").status, w.role)
		require.Equal(t, 200, c.get("/payments").status, w.role)
		require.Equal(t, 200, c.get("/api/bookings/"+b.ID).status, w.role)
		require.Equal(t, w.cancel, c.post("/api/bookings/"+b.ID+"/cancel", nil).status, w.role)
	}
}

// A wrong token and an unknown booking have the same answer.
func TestRoutes_OwnersOnly(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	ada, eve := h.client(), h.client()
	var hers, other created
	ada.post("/api/bookings", wish(ada.slot(0), nil)).into(t, &hers)
	eve.post("/api/bookings", wish(ada.slot(0), nil)).into(t, &other)
	nowhere := "01936f4e-0000-7000-8000-000000000001"
	for _, id := range []string{hers.ID, nowhere} {
		for _, token := range []string{other.Token, "x", hers.ID} {
			a := eve.get("/api/bookings/" + id + "?token=" + token)
			require.Equal(t, http.StatusNotFound, a.status)
			a = eve.post("/api/bookings/"+id+"/cancel", nil, "Authorization", "Bearer "+token)
			require.Equal(t, http.StatusNotFound, a.status)
			require.Equal(t, http.StatusNotFound, eve.get("/success?booking="+id+"&token="+token).status)
		}
		require.Equal(t, http.StatusUnauthorized, eve.get("/api/bookings/"+id).status)
	}
	var v shown
	ada.get("/api/bookings/"+hers.ID+"?token="+hers.Token).into(t, &v)
	require.Equal(t, "pending", v.Status)
	require.NotContains(t, h.log.String(), hers.Token, "tokens are not logged")
}

// The page of the API has no script and the same policy as every page.
func TestRoutes_Docs(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	c := h.client()
	a := c.get("/docs")
	require.Equal(t, http.StatusOK, a.status)
	require.Equal(t, "text/html; charset=utf-8", a.header.Get("Content-Type"))
	require.Equal(t, c.get("/").header.Get("Content-Security-Policy"), a.header.Get("Content-Security-Policy"))
	require.Contains(t, a.body, "/api/bookings/{id}/reschedule")
	require.NotContains(t, a.body, "<script")
	a = c.get("/openapi.json")
	require.Equal(t, http.StatusOK, a.status)
	a = c.get("/openapi.json", "If-None-Match", a.header.Get("ETag"))
	require.Equal(t, http.StatusNotModified, a.status)
}
