package pages

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

// Deps are the packages that the pages call. Auth may be nil if Options.Guard is set; the
// pages that log in and out are then left out.
type Deps struct {
	Bookings *booking.Store
	Payments *payments.Payments
	Receiver *webhook.Receiver
	Auth     *auth.Auth
}

// Options tune [Pages]. URL is required.
type Options struct {
	// URL is the public address below which the handler is mounted, such as
	// https://example.com/booking, without a slash at the end. Its path is the prefix of
	// all routes and links: mount the handler there, and do not strip the prefix.
	URL string
	// Guard lets only staff through to next; it redirects others to a login. nil uses
	// Deps.Auth.
	Guard func(next http.Handler) http.Handler
	// User returns the user whom Guard let through. nil is auth.UserFrom.
	User func(context.Context) (auth.User, bool)
	// AdmitMove is called before a customer reschedules a booking; its error refuses
	// that, a [*payments.RateLimitError] with 429. nil allows all.
	AdmitMove func(context.Context) error
	// SendLinks sends the links of the coming bookings of an e-mail address to it, later:
	// write a message and return. It must do the same for every address, so that neither
	// the answer nor its time tells whether there are bookings. For example, enqueue a
	// message of package notify, and let its Kind.Expand look for the bookings and return
	// bookingmail.LinkAgain of each. nil leaves out the page that asks for an address.
	SendLinks func(ctx context.Context, email string) error
	// AdmitLinks is called before SendLinks; its error refuses the request, a
	// [*payments.RateLimitError] with 429. It must count all addresses alike. nil allows
	// all.
	AdmitLinks func(ctx context.Context, email string) error
	// Client returns the client that the limits of holds count a request for, such as
	// its network address. nil counts no clients.
	Client func(context.Context) string
	// RequestID returns the id that error pages show. nil shows none.
	RequestID func(context.Context) string
	// CalendarPath returns the address of a booking's calendar file, such as that of
	// package api. nil leaves the link out.
	CalendarPath func(bookingID, ownerToken string) string
	// NotFound answers requests for files that do not exist. nil is http.NotFound.
	NotFound http.Handler
	// StripeFake puts a banner on each page that says that no money moves.
	StripeFake bool
	// Logger gets the errors that visitors are not told; nil discards them.
	Logger *slog.Logger
}

// Pages serves the pages. It is safe for concurrent use and has no state of its own.
type Pages struct {
	deps   Deps
	opts   Options
	prefix string
	routes []Route
	mux    *http.ServeMux
}

// Route is one route of [Pages], for a router that needs to know each of them. Most
// programs mount the pages as a whole.
type Route struct {
	// Method is GET, which includes HEAD, or POST.
	Method string
	// Path begins with the path of Options.URL. A path that ends in /static/ stands for
	// all paths below it.
	Path    string
	Handler http.Handler
}

// New returns the pages. It does not talk to the database.
func New(deps Deps, opts Options) (*Pages, error) {
	if deps.Bookings == nil || deps.Payments == nil || deps.Receiver == nil {
		return nil, errors.New("pages: Bookings, Payments and Receiver are required")
	}
	if deps.Auth == nil && opts.Guard == nil {
		return nil, errors.New("pages: Auth or Guard is required")
	}
	base, err := url.Parse(opts.URL)
	if err != nil || base.Host == "" || strings.HasSuffix(opts.URL, "/") {
		return nil, errors.New("pages: URL must be an absolute address without a slash at the end")
	}
	p := &Pages{deps: deps, opts: opts.withDefaults(deps.Auth), prefix: base.Path, mux: http.NewServeMux()}
	p.routes = p.makeRoutes()
	for _, r := range p.routes {
		pattern := r.Method + " " + r.Path
		if r.Path == p.prefix+"/" {
			pattern += "{$}"
		}
		p.mux.Handle(pattern, r.Handler)
	}
	return p, nil
}

func (o Options) withDefaults(sessions *auth.Auth) Options {
	if o.Guard == nil {
		o.Guard = sessions.RequirePage
	}
	if o.User == nil {
		o.User = auth.UserFrom
	}
	if o.AdmitMove == nil {
		o.AdmitMove = func(context.Context) error { return nil }
	}
	if o.AdmitLinks == nil {
		o.AdmitLinks = func(context.Context, string) error { return nil }
	}
	none := func(context.Context) string { return "" }
	if o.Client == nil {
		o.Client = none
	}
	if o.RequestID == nil {
		o.RequestID = none
	}
	if o.CalendarPath == nil {
		o.CalendarPath = func(string, string) string { return "" }
	}
	if o.NotFound == nil {
		o.NotFound = http.HandlerFunc(http.NotFound)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func (p *Pages) makeRoutes() []Route {
	var routes []Route
	add := func(method, path string, h http.Handler) { routes = append(routes, Route{method, p.prefix + path, h}) }
	public := func(method, path string, h http.HandlerFunc) { add(method, path, h) }
	public("GET", "/", p.showFront)
	public("POST", "/book", p.postBooking)
	// A browser asks for it again after an error.
	public("GET", "/book", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, p.prefix+"/", http.StatusSeeOther)
	})
	public("GET", "/success", p.showBooking)
	public("GET", "/cancel", p.showLeave)
	public("POST", "/cancel", p.postLeave)
	public("GET", "/booking/cancel", p.showCancel)
	public("POST", "/booking/cancel", p.postCancel)
	public("GET", "/booking/move", p.showMove)
	public("POST", "/booking/move", p.postMove)
	if p.opts.SendLinks != nil {
		public("GET", "/links", p.showLinks)
		public("POST", "/links", p.postLinks)
	}
	add("GET", "/static/", p.static())
	add("GET", "/dashboard", p.opts.Guard(http.HandlerFunc(p.dashboard)))
	if p.deps.Auth != nil {
		public("GET", "/login", p.showLogin)
		public("POST", "/login", p.postLogin)
		public("POST", "/logout", p.logout)
	}
	return routes
}

// Routes returns all routes.
func (p *Pages) Routes() []Route { return p.routes }

// ServeHTTP answers a request whose path begins with that of Options.URL. It sets
// r.Pattern.
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }
