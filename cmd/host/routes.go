package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/booking-platform/booking-platform/api"
	"github.com/booking-platform/booking-platform/cmd/host/internal/apidocs"
	"github.com/booking-platform/booking-platform/cmd/host/internal/middleware"
	"github.com/booking-platform/booking-platform/cmd/host/internal/postgres"
	"github.com/booking-platform/booking-platform/health"
	"github.com/booking-platform/booking-platform/pages"
)

// defaultLimits are those of a page, a form or a JSON object.
var defaultLimits = middleware.Limits{Body: 64 << 10, Read: 10 * time.Second, Time: 15 * time.Second}

// routeLimits are the limits of other routes, by path template.
var routeLimits = map[string]middleware.Limits{
	// Some events are larger than 64 KiB. The receiver has its own time limit and
	// finishes its work after the sender has gone.
	"/webhook":     {Body: 1 << 20, Read: 10 * time.Second, Time: 25 * time.Second},
	"/auth/login":  {Body: 8 << 10, Read: 5 * time.Second, Time: 15 * time.Second},
	"/login":       {Body: 8 << 10, Read: 5 * time.Second, Time: 15 * time.Second},
	"/logout":      {Body: 1 << 10, Read: 5 * time.Second, Time: 15 * time.Second},
	"/auth/logout": {Body: 1 << 10, Read: 5 * time.Second, Time: 15 * time.Second},
	"/health":      {Body: 0, Read: time.Second, Time: 5 * time.Second},
	"/health/db":   {Body: 0, Read: time.Second, Time: 5 * time.Second},
	"/static/":     {Body: 0, Read: time.Second, Time: 5 * time.Second},
}

// mayBeBehind are the routes whose reads, by GET, may be made on the standby of
// DATABASE_READ_URL, by path template below that of APP_URL. They write nothing, and none
// is a page of a booking, which its owner opens after a change. Which reads of theirs use
// it: booking.Options.ReadFrom.
var mayBeBehind = map[string]bool{
	"/": true, "/api/resources/{resource}/availability": true, "/api/resources/{resource}/next": true,
	"/api/bookings": true, "/reservations": true, "/dashboard": true,
}

// behind marks the requests of mayBeBehind.
func behind(prefix string) mux.MiddlewareFunc {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			template, err := mux.CurrentRoute(r).GetPathTemplate()
			if err == nil && (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
				mayBeBehind[strings.TrimPrefix(template, prefix)] {
				r = r.WithContext(postgres.MayBeBehind(r.Context()))
			}
			next.ServeHTTP(w, r)
		})
	}
}

// handler returns the routes behind the middleware.
func (s *services) handler() (http.Handler, error) {
	routes, err := s.routes()
	if err != nil {
		return nil, err
	}
	opts := middleware.Options{
		Logger: s.logger, ClientIP: s.clientIP, Stats: s.stats, HSTS: strings.HasPrefix(s.cfg.AppURL, "https://"),
		TrustedOrigins: []string{s.cfg.AppURL}, Exempt: []string{"POST /webhook"},
		Private: []string{"/calendar/", "token=", "session_id="}, Counted: []string{"/webhook"},
		Timeout: routeLimits["/webhook"].Time, // The longest of all routes.
	}
	if s.stripeFake != nil {
		opts.FormTargets = []string{s.cfg.AppURL}
	}
	return middleware.Handler(routes, opts)
}

// routes returns all routes of the host. A path that is not clean is not found; the
// router does not redirect it.
func (s *services) routes() (*mux.Router, error) {
	a, err := api.New(api.Deps{Bookings: s.bookings, Payments: s.payments, Receiver: s.receiver, Auth: s.auth},
		api.Options{
			URL: s.cfg.AppURL, AdmitMove: s.limiter.admit, Client: middleware.Network, RequestID: middleware.RequestID,
			Logger: s.logger, Version: versionOf(s.cfg.Version), Started: time.Now(),
			ServerErrors: s.stats.ServerErrors,
		})
	if err != nil {
		return nil, fmt.Errorf("make the API: %w", err)
	}
	p, err := pages.New(pages.Deps{Bookings: s.bookings, Payments: s.payments, Receiver: s.receiver, Auth: s.auth},
		pages.Options{
			URL: s.cfg.AppURL, AdmitMove: s.limiter.admit, Client: middleware.Network, RequestID: middleware.RequestID,
			Logger: s.logger, CalendarPath: a.CalendarPath, NotFound: http.HandlerFunc(notFound),
			StripeFake: s.stripeFake != nil, SendLinks: s.sendLinks, AdmitLinks: s.limiter.admitLinks,
		})
	if err != nil {
		return nil, fmt.Errorf("make the pages: %w", err)
	}
	base, err := url.Parse(s.cfg.AppURL)
	if err != nil {
		return nil, fmt.Errorf("read the address of the host: %w", err)
	}
	docs, err := apidocs.New(a.OpenAPI(), base.Path)
	if err != nil {
		return nil, err
	}
	routes := mux.NewRouter().SkipClean(true)
	routes.Use(limited, behind(base.Path), s.paused.refuse(p))
	mount(routes, http.MethodGet, "/health", health.Live())
	mount(routes, http.MethodGet, "/health/db", s.ready)
	// Nothing may read the body before the receiver, which verifies its signature.
	mount(routes, http.MethodPost, "/webhook", s.receiver)
	for _, r := range a.Routes() {
		mount(routes, r.Method, r.Path, r.Handler)
	}
	for _, r := range p.Routes() {
		mount(routes, r.Method, r.Path, r.Handler)
	}
	mount(routes, http.MethodGet, base.Path+"/docs", docs)
	if s.mailbox != nil {
		mount(routes, http.MethodGet, base.Path+mailboxPath, s.mailbox)
		mount(routes, http.MethodGet, base.Path+mailboxPath+"/", s.mailbox)
	}
	if s.stripeFake != nil {
		routes.PathPrefix("/stripe/").Handler(http.StripPrefix("/stripe", s.stripeFake))
	}
	isAPI := func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, base.Path+"/api/") }
	routes.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if pages.AsksForHTML(r) && !isAPI(r) {
			p.NotFoundPage(w, r)
			return
		}
		notFound(w, r)
	})
	routes.MethodNotAllowedHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", strings.Join(allowed(routes, r), ", "))
		middleware.WriteError(w, r, http.StatusMethodNotAllowed, "method_not_allowed", nil)
	})
	return routes, nil
}

// mount adds a route. A path that ends in a slash stands for all paths below it, except
// /.
func mount(routes *mux.Router, method, path string, h http.Handler) {
	methods := []string{method}
	if method == http.MethodGet {
		methods = append(methods, http.MethodHead)
	}
	h = pathValues(h)
	if path != "/" && strings.HasSuffix(path, "/") {
		routes.PathPrefix(path).Handler(h).Methods(methods...)
		return
	}
	routes.Handle(path, h).Methods(methods...)
}

// pathValues passes the router's variables on as http.Request.PathValue.
func pathValues(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range mux.Vars(r) {
			r.SetPathValue(name, value)
		}
		next.ServeHTTP(w, r)
	})
}

// limited applies the limits of the route, and names it for the access log.
func limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		template, err := mux.CurrentRoute(r).GetPathTemplate()
		if err == nil {
			middleware.SetRoute(r.Context(), template)
		}
		limits, ok := routeLimits[template]
		if !ok {
			limits = defaultLimits
		}
		limits.Serve(next, w, r)
	})
}

// allowed returns the methods of a path.
func allowed(routes *mux.Router, r *http.Request) []string {
	var methods []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		var match mux.RouteMatch
		if routes.Match(other, &match) && match.MatchErr == nil {
			methods = append(methods, method)
		}
	}
	return methods
}

func notFound(w http.ResponseWriter, r *http.Request) {
	middleware.WriteError(w, r, http.StatusNotFound, "not_found", nil)
}
