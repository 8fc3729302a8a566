package main

import (
	"net/http"
	"strings"

	"github.com/gorilla/mux"

	"github.com/booking-platform/booking-platform/api"
	"github.com/booking-platform/booking-platform/cmd/host/internal/middleware"
	"github.com/booking-platform/booking-platform/health"
	"github.com/booking-platform/booking-platform/pages"
)

// router names every route of the host. Paths are taken as they come: one that is not
// clean is not found, rather than redirected.
func router(r *rooms, a *api.API, p *pages.Pages) *mux.Router {
	routes := mux.NewRouter().SkipClean(true)
	routes.Use(known)
	get := []string{http.MethodGet, http.MethodHead}
	routes.Handle("/health", health.Live()).Methods(get...)
	routes.Handle("/health/db", r.ready).Methods(get...)
	// Nothing may read or rewrite the body before the receiver: it verifies the bytes.
	routes.Handle("/webhook", r.receiver).Methods(http.MethodPost)
	if r.standIn != nil {
		routes.PathPrefix("/stripe/").Handler(http.StripPrefix("/stripe", r.standIn))
	}
	a.Register(routes)
	p.Register(routes)
	routes.NotFoundHandler = http.HandlerFunc(notFound)
	routes.MethodNotAllowedHandler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Allow", strings.Join(allowed(routes, req), ", "))
		middleware.WriteError(w, req, http.StatusMethodNotAllowed, "method_not_allowed", nil)
	})
	return routes
}

// known tells the access log which route took the request, and gives the request the
// route's limits.
func known(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		template, err := mux.CurrentRoute(r).GetPathTemplate()
		if err == nil {
			middleware.SetRoute(r.Context(), template)
		}
		limitsOf(template).Serve(next, w, r)
	})
}

// allowed lists the methods that a path has.
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
