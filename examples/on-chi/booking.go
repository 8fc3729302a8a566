package main

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"golang.org/x/sync/errgroup"

	"github.com/booking-platform/booking-platform/api"
	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/migrations"
	"github.com/booking-platform/booking-platform/pages"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

type service struct {
	config
	bookings *booking.Store
	payments *payments.Payments
	receiver *webhook.Receiver
	api      *api.API
	pages    *pages.Pages
}

var court = booking.Resource{
	Slug: "court-1", Name: "Court 1", TimeZone: "Europe/Paris", SlotLength: time.Hour,
	Price: booking.Money{Minor: 2500, Currency: "eur"},
}

// newService creates the tables and the court.
func newService(ctx context.Context, db *sql.DB, c config) (*service, error) {
	if _, err := migrations.Up(ctx, db, migrations.Payments); err != nil {
		return nil, err
	}
	s := &service{config: c}
	url := c.url + "/booking"
	var err error
	m := newMetrics(c.metrics)
	s.bookings, err = booking.New(db, booking.Options{Logger: slog.Default(), OwnerSecrets: []string{c.ownerSecret},
		MaxHoldsPerClient: 10, OnStep: m.step})
	if err != nil {
		return nil, err
	}
	s.payments, err = payments.New(db, s.bookings, c.secretKey, url, payments.Options{
		Logger: slog.Default(), BaseURL: c.stripeAPI, MissingIsGone: c.stripeAPI != "", RequestID: middleware.GetReqID,
		OnBook: m.book, OnStep: m.step,
		// The calls to Stripe are spans of the request's trace.
		HTTPClient: &http.Client{Transport: otelhttp.NewTransport(nil, otelhttp.WithTracerProvider(c.traces))},
	})
	if err != nil {
		return nil, err
	}
	s.receiver, err = webhook.New(db, []string{c.webhookSecret}, webhook.Options{
		Logger: slog.Default(), Observe: m.delivery, OnStep: m.step})
	if err != nil {
		return nil, err
	}
	s.payments.Register(s.receiver)
	s.api, err = api.New(api.Deps{Bookings: s.bookings, Payments: s.payments, Receiver: s.receiver}, api.Options{
		URL: url, Client: middleware.GetClientIP, RequestID: middleware.GetReqID, Logger: slog.Default(),
		Guard: func(next http.Handler, _ ...string) http.Handler { return s.staffOnly(next) }, User: staff,
	})
	if err != nil {
		return nil, err
	}
	deps := pages.Deps{Bookings: s.bookings, Payments: s.payments, Receiver: s.receiver}
	s.pages, err = pages.New(deps, pages.Options{
		URL: url, Client: middleware.GetClientIP, RequestID: middleware.GetReqID, Logger: slog.Default(),
		Guard: s.staffOnly, User: staff, CalendarPath: s.api.CalendarPath, StripeFake: c.stripeAPI != "",
	})
	if err != nil {
		return nil, err
	}
	_, err = s.bookings.ApplyResource(ctx, court, booking.ApplyOptions{})
	return s, err
}

// mount does not strip the prefix /booking.
func (s *service) mount(r chi.Router) {
	r.Mount("/booking", s.pages)
	for _, path := range []string{"/api/*", "/calendar/*", "/admin/*", "/reservations", "/payments",
		"/create-checkout-session"} {
		r.Handle("/booking"+path, s.api)
	}
	r.Handle("/webhook", s.receiver)
}

// background works until ctx ends. It is safe on every replica.
func (s *service) background(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.bookings.Run(ctx) })
	group.Go(func() error { return s.receiver.Run(ctx) })
	group.Go(func() error { return s.payments.Run(ctx, s.receiver) })
	return group.Wait()
}

// staffOnly guards what is for staff by the service's own means: here a password.
func (s *service) staffOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "staff" || subtle.ConstantTimeCompare([]byte(password), []byte(s.staffPassword)) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="staff"`)
			http.Error(w, "staff only", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// staff is the user in the history of bookings.
func staff(context.Context) (auth.User, bool) {
	return auth.User{ID: "staff", Email: "staff@example.com", Role: auth.RoleAdmin}, true
}

// metrics count what the packages' hooks report.
type metrics struct {
	books, deliveries *prometheus.CounterVec
	steps             *prometheus.HistogramVec
}

func newMetrics(registry *prometheus.Registry) *metrics {
	m := &metrics{
		books: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bookings_total", Help: "Requests to book, by result."}, []string{"result"}),
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stripe_events_total", Help: "Deliveries of Stripe's events, by outcome."}, []string{"outcome"}),
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "background_step_seconds", Help: "Durations of background steps."}, []string{"step", "result"}),
	}
	registry.MustRegister(m.books, m.deliveries, m.steps)
	for _, result := range payments.BookResults() {
		m.books.WithLabelValues(result)
	}
	return m
}

func (m *metrics) book(_ context.Context, result string, _ error) {
	m.books.WithLabelValues(result).Inc()
}

func (m *metrics) delivery(_ context.Context, d webhook.Delivery) {
	m.deliveries.WithLabelValues(string(d.Outcome)).Inc()
}

func (m *metrics) step(step string, took time.Duration, _ int, err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	m.steps.WithLabelValues(step, result).Observe(took.Seconds())
}
