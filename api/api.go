package api

import (
	"context"
	"database/sql"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/gorilla/mux"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

// The roles of the host's users; READONLY is the third.
const (
	roleAdmin = "ADMIN"
	roleOps   = "OPS"
)

// Options are what the routes stand on; all of it is required but Version.
type Options struct {
	DB       *sql.DB
	Bookings *booking.Store
	Payments *payments.Payments
	Auth     *auth.Auth
	Receiver *webhook.Receiver
	// AdmitMove is asked before a customer moves a booking; its error refuses the move, a
	// [*payments.RateLimitError] with 429.
	AdmitMove func(context.Context) error
	Logger    *slog.Logger
	// AppURL is the public address of the host, without a slash at its end.
	AppURL  string
	Version string
	Started time.Time
	// Client returns the client that limits count a request for, such as its network.
	Client func(context.Context) string
	// RequestID returns the id that errors carry.
	RequestID func(context.Context) string
	// ServerErrors returns how many requests were answered 5xx.
	ServerErrors func() int64
}

// API is the JSON routes. It is safe for concurrent use and keeps nothing between
// requests.
type API struct{ opts Options }

// New makes the routes.
func New(opts Options) *API {
	if opts.Client == nil {
		opts.Client = func(context.Context) string { return "" }
	}
	if opts.RequestID == nil {
		opts.RequestID = func(context.Context) string { return "" }
	}
	return &API{opts}
}

// Register puts the routes, each behind its guard, on a router.
func (a *API) Register(r *mux.Router) {
	get := []string{http.MethodGet, http.MethodHead}
	session := a.opts.Auth.RequireAPI
	staff := func(h http.Handler) http.Handler { return session(a.opts.Auth.RequireRole(roleAdmin, roleOps)(h)) }

	r.Handle("/api/bookings", a.create(http.StatusCreated)).Methods(http.MethodPost)
	r.Handle("/create-checkout-session", a.create(http.StatusOK)).Methods(http.MethodPost)
	r.HandleFunc("/api/resources", a.resources).Methods(get...)
	r.HandleFunc("/api/resources/{resource}/availability", a.availability).Methods(get...)
	r.HandleFunc("/api/resources/{resource}/next", a.next).Methods(get...)

	r.Handle("/api/bookings", session(http.HandlerFunc(a.list))).Methods(get...)
	r.Handle("/reservations", session(http.HandlerFunc(a.list))).Methods(get...)
	r.Handle("/api/bookings/{id}", a.ownerOr(session, a.show)).Methods(get...)
	r.Handle("/api/bookings/{id}/cancel", a.ownerOr(staff, a.cancel)).Methods(http.MethodPost)
	r.Handle("/api/bookings/{id}/calendar.ics", a.ownerOr(session, a.calendarFile)).Methods(get...)
	r.HandleFunc("/calendar/{token}.ics", a.calendarFeed).Methods(get...)
	r.Handle("/api/resources/{resource}/feeds", staff(http.HandlerFunc(a.createFeed))).Methods(http.MethodPost)
	r.Handle("/api/resources/{resource}/feeds", staff(http.HandlerFunc(a.deleteFeeds))).Methods(http.MethodDelete)
	r.Handle("/api/bookings/{id}/reschedule", a.ownerOr(staff, a.reschedule)).Methods(http.MethodPost)
	r.Handle("/api/bookings/{id}/renew-link", staff(http.HandlerFunc(a.renewLink))).Methods(http.MethodPost)
	r.Handle("/payments", session(http.HandlerFunc(a.ledger))).Methods(get...)
	r.Handle("/admin/metrics", staff(http.HandlerFunc(a.metrics))).Methods(get...)

	r.Handle("/auth/login", a.opts.Auth.LoginHandler()).Methods(http.MethodPost)
	r.Handle("/auth/logout", a.opts.Auth.LogoutHandler()).Methods(http.MethodPost)
	r.Handle("/auth/me", a.opts.Auth.MeHandler()).Methods(get...)
}

// list is the shape of every list.
type list[T any] struct {
	Items []T       `json:"items"`
	Meta  *listMeta `json:"meta,omitempty"`
}

type listMeta struct {
	// Count is how many items this page has.
	Count int `json:"count"`
	// Next is what to give as before for the page after; empty on the last.
	Next string `json:"next,omitempty"`
}

func writeJSON(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	// The client may have gone; nobody is left to be told.
	_ = json.NewEncoder(w).Encode(answer)
}
