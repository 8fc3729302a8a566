package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

// The roles that may change bookings. Any other role may only read.
const (
	roleAdmin = "ADMIN"
	roleOps   = "OPS"
)

// Deps are the packages that the API calls. With Options.Guard Auth may be nil; the
// routes below /auth are then left out.
type Deps struct {
	Bookings *booking.Store
	Payments *payments.Payments
	Receiver *webhook.Receiver
	Auth     *auth.Auth
}

// Options tune an [API]. URL is required.
type Options struct {
	// URL is the public address of the handler, such as https://example.com/booking,
	// without a slash at the end. Its path is the prefix of all routes: mount the handler
	// there, and do not strip the prefix.
	URL string
	// Guard lets users with one of the roles through to next, or any user without roles,
	// and answers 401 or 403 otherwise. nil uses Deps.Auth.
	Guard func(next http.Handler, roles ...string) http.Handler
	// User returns the user that Guard let through. nil is auth.UserFrom.
	User func(context.Context) (auth.User, bool)
	// AdmitMove's error refuses a customer's move, with 429 if it is a
	// [*payments.RateLimitError]. nil allows all.
	AdmitMove func(context.Context) error
	// Client returns what the limits of holds count a request for, such as
	// [ClientNetwork] of its address. nil counts no clients.
	Client func(context.Context) string
	// RequestID returns the id in error answers; nil sends an empty one.
	RequestID func(context.Context) string
	// Logger gets errors that clients are not told; nil discards.
	Logger *slog.Logger
	// Version, Started and ServerErrors, the number of 5xx answers, are for GET
	// /admin/metrics, and optional. Version is also that of the OpenAPI document.
	Version      string
	Started      time.Time
	ServerErrors func() int64
}

// API is the JSON API. It is safe for concurrent use, and has no state but the encoded
// list of resources, about 500 bytes each.
type API struct {
	deps   Deps
	opts   Options
	prefix string
	domain string // Of the UIDs of calendar events.
	routes []Route
	mux    *http.ServeMux
	// document is the OpenAPI document.
	document []byte
	// whole is the newest list of all resources.
	whole atomic.Pointer[wholeList]
}

// Route is one route of an [API], for a router that needs each. Most programs mount the
// API as a whole.
type Route struct {
	// Method is GET, which includes HEAD, POST or DELETE.
	Method string
	// Path begins with that of Options.URL. Handler reads its variables, such as {id},
	// with http.Request.PathValue.
	Path    string
	Handler http.Handler
}

// New returns an API. It does not talk to the database.
func New(deps Deps, opts Options) (*API, error) {
	if deps.Bookings == nil || deps.Payments == nil || deps.Receiver == nil {
		return nil, errors.New("api: Bookings, Payments and Receiver are required")
	}
	if deps.Auth == nil && opts.Guard == nil {
		return nil, errors.New("api: Auth or Guard is required")
	}
	base, err := url.Parse(opts.URL)
	if err != nil || base.Host == "" || strings.HasSuffix(opts.URL, "/") {
		return nil, errors.New("api: URL must be an absolute address without a slash at the end")
	}
	a := &API{deps: deps, opts: opts.withDefaults(deps.Auth), prefix: base.Path, domain: base.Hostname(),
		mux: http.NewServeMux()}
	a.routes = a.makeRoutes()
	if err := a.describe(); err != nil {
		return nil, err
	}
	for _, r := range a.routes {
		pattern, handler := muxPattern(r)
		a.mux.Handle(pattern, handler)
	}
	return a, nil
}

func (o Options) withDefaults(sessions *auth.Auth) Options {
	if o.Guard == nil {
		o.Guard = func(next http.Handler, roles ...string) http.Handler {
			if len(roles) > 0 {
				next = sessions.RequireRole(roles...)(next)
			}
			return sessions.RequireAPI(next)
		}
	}
	if o.User == nil {
		o.User = auth.UserFrom
	}
	if o.AdmitMove == nil {
		o.AdmitMove = func(context.Context) error { return nil }
	}
	none := func(context.Context) string { return "" }
	if o.Client == nil {
		o.Client = none
	}
	if o.RequestID == nil {
		o.RequestID = none
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.ServerErrors == nil {
		o.ServerErrors = func() int64 { return 0 }
	}
	return o
}

func (a *API) makeRoutes() []Route {
	var routes []Route
	add := func(method, path string, h http.Handler) { routes = append(routes, Route{method, a.prefix + path, h}) }
	public := func(method, path string, h http.HandlerFunc) { add(method, path, h) }
	session := func(h http.Handler) http.Handler { return a.opts.Guard(h) }
	staff := func(h http.Handler) http.Handler { return a.opts.Guard(h, roleAdmin, roleOps) }

	public("POST", "/api/bookings", a.create(http.StatusCreated))
	public("POST", "/create-checkout-session", a.create(http.StatusOK))
	public("GET", "/api/resources", a.resources)
	public("GET", "/api/resources/{resource}/availability", a.availability)
	public("GET", "/api/resources/{resource}/next", a.next)
	public("GET", "/calendar/{token}.ics", a.calendarFeed)
	public("GET", "/openapi.json", a.serveOpenAPI)

	add("GET", "/api/bookings/{id}", a.requireOwnerOr(session, a.get))
	add("GET", "/api/bookings/{id}/calendar.ics", a.requireOwnerOr(session, a.calendarFile))
	add("POST", "/api/bookings/{id}/cancel", a.requireOwnerOr(staff, a.cancel))
	add("POST", "/api/bookings/{id}/reschedule", a.requireOwnerOr(staff, a.reschedule))

	add("GET", "/api/bookings", session(http.HandlerFunc(a.list)))
	add("GET", "/reservations", session(http.HandlerFunc(a.list)))
	add("GET", "/payments", session(http.HandlerFunc(a.events)))
	add("GET", "/admin/metrics", staff(http.HandlerFunc(a.stats)))
	add("POST", "/api/bookings/{id}/renew-link", staff(http.HandlerFunc(a.renewLink)))
	add("POST", "/api/resources/{resource}/feeds", staff(http.HandlerFunc(a.createFeed)))
	add("DELETE", "/api/resources/{resource}/feeds", staff(http.HandlerFunc(a.deleteFeeds)))

	if a.deps.Auth != nil {
		add("POST", "/auth/login", a.deps.Auth.LoginHandler())
		add("POST", "/auth/logout", a.deps.Auth.LogoutHandler())
		add("GET", "/auth/me", a.deps.Auth.MeHandler())
	}
	return routes
}

// Routes returns all routes.
func (a *API) Routes() []Route { return a.routes }

// Paths returns patterns that have all routes together, for a router with pages below the
// same prefix. As in http.ServeMux, one that ends in a slash stands for all paths below
// it.
//
//	mux.Handle("/booking/", pages)
//	for _, path := range api.Paths() {
//		mux.Handle(path, api)
//	}
func (a *API) Paths() []string {
	var paths []string
	for _, r := range a.routes {
		first, _, below := strings.Cut(strings.TrimPrefix(r.Path, a.prefix+"/"), "/")
		if below {
			first += "/"
		}
		paths = append(paths, a.prefix+"/"+first)
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// ServeHTTP answers a request whose path begins with that of Options.URL. It sets
// r.Pattern. 404 and 405 are JSON, too.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, pattern := a.mux.Handler(r)
	if pattern != "" {
		a.mux.ServeHTTP(w, r)
		return
	}
	refused := discardBody{http.Header{}, new(int)}
	h.ServeHTTP(refused, r)
	if *refused.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", refused.header.Get("Allow"))
		a.write(w, r, errorWith(http.StatusMethodNotAllowed, "method_not_allowed"))
		return
	}
	a.write(w, r, errorWith(http.StatusNotFound, "not_found"))
}

// discardBody keeps status and header.
type discardBody struct {
	header http.Header
	status *int
}

func (d discardBody) Header() http.Header         { return d.header }
func (d discardBody) Write(b []byte) (int, error) { return len(b), nil }
func (d discardBody) WriteHeader(status int)      { *d.status = status }

// muxPattern is for http.ServeMux, whose variables are whole segments.
func muxPattern(route Route) (pattern string, h http.Handler) {
	path, suffix, found := strings.Cut(route.Path, "}.")
	if !found {
		return route.Method + " " + route.Path, route.Handler
	}
	name := path[strings.LastIndex(path, "{")+1:]
	return fmt.Sprintf("%s %s}", route.Method, path), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		value, ok := strings.CutSuffix(r.PathValue(name), "."+suffix)
		if !ok {
			value = "" // Nothing has an empty name.
		}
		r.SetPathValue(name, value)
		route.Handler.ServeHTTP(w, r)
	})
}

func writeJSON(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}
