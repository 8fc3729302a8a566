package pages

import (
	"context"
	"database/sql"
	"log/slog"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

// Options are what the pages stand on; all of it is required.
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
	// StandIn puts a banner on each page that says that no money moves.
	StandIn bool
	// Client returns the client that limits count a request for, such as its network.
	Client func(context.Context) string
	// RequestID returns the id that error pages show.
	RequestID func(context.Context) string
	// NotFound answers where there is no such file.
	NotFound http.Handler
}

// Pages are the pages. They are safe for concurrent use and keep nothing between
// requests.
type Pages struct{ opts Options }

// New makes the pages.
func New(opts Options) *Pages { return &Pages{opts} }

// Register puts the pages, each behind its guard, on a router.
func (p *Pages) Register(r *mux.Router) {
	get := []string{http.MethodGet, http.MethodHead}
	r.HandleFunc("/", p.book).Methods(get...)
	r.HandleFunc("/book", p.takeBooking).Methods(http.MethodPost)
	r.HandleFunc("/success", p.success).Methods(get...)
	r.HandleFunc("/cancel", p.left).Methods(get...)
	r.HandleFunc("/booking/cancel", p.askCancel).Methods(get...)
	r.HandleFunc("/booking/cancel", p.takeCancel).Methods(http.MethodPost)
	r.HandleFunc("/booking/move", p.askMove).Methods(get...)
	r.HandleFunc("/booking/move", p.takeMove).Methods(http.MethodPost)
	r.HandleFunc("/login", p.login).Methods(get...)
	r.HandleFunc("/login", p.takeLogin).Methods(http.MethodPost)
	r.HandleFunc("/logout", p.logout).Methods(http.MethodPost)
	r.Handle("/dashboard", p.opts.Auth.RequirePage(http.HandlerFunc(p.dashboard))).Methods(get...)
	r.PathPrefix("/static/").Handler(p.static()).Methods(get...)
}
