package main

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/mux"

	"github.com/booking-platform/booking-platform/api"
	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/cmd/host/internal/metrics"
	"github.com/booking-platform/booking-platform/cmd/host/internal/middleware"
	"github.com/booking-platform/booking-platform/health"
	"github.com/booking-platform/booking-platform/migrations"
	"github.com/booking-platform/booking-platform/pages"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
)

// rooms are the library packages, put together.
type rooms struct {
	cfg      config.Config
	db       *sql.DB
	logger   *slog.Logger
	bookings *booking.Store
	payments *payments.Payments
	receiver *webhook.Receiver
	users    *auth.UserTable
	auth     *auth.Auth
	limiter  *bookingLimiter
	ready    *health.Readiness
	stats    *middleware.Stats
	metrics  *metrics.Metrics
	clientIP *middleware.ClientIP
	// connections are the limits below HTTP.
	connections *middleware.Connections
	// standIn takes Stripe's place in development; else nil.
	standIn *stripetest.Server
}

// wire puts the rooms together. self is the address at which this machine reaches the
// host.
func wire(cfg config.Config, db *sql.DB, self string, logger *slog.Logger) (*rooms, error) {
	r := &rooms{cfg: cfg, db: db, logger: logger, stats: &middleware.Stats{}}
	r.clientIP = middleware.NewClientIP(cfg.TrustProxy.Count, cfg.TrustProxy.Networks)
	r.connections = middleware.NewConnections(middleware.ConnectionOptions{Max: cfg.MaxConnections, ClientIP: r.clientIP})
	if r.cfg.AppURL == "" {
		r.cfg.AppURL = self
	}
	if len(r.cfg.SessionSecrets) == 0 {
		r.cfg.SessionSecrets = []string{keptSecret(cfg.DataDir, logger)}
	}
	if err := r.useStandIn(self); err != nil {
		return nil, err
	}
	owners, err := booking.DeriveOwnerSecrets(r.cfg.SessionSecrets)
	if err != nil {
		return nil, err
	}
	observe := func(step string, took time.Duration, items int, err error) { r.metrics.Step(step, took, items, err) }
	r.bookings, err = booking.New(db, booking.Options{
		Logger: logger, OwnerSecrets: owners, CompleteAfter: 24 * time.Hour, Prepare: cfg.Prepare,
		MaxHoldsPerEmail: cfg.HoldsPerEmail, MaxHoldsPerEmailAnywhere: cfg.HoldsPerEmailAnywhere,
		MaxHoldsPerClient: cfg.HoldsPerAddress, OnStep: observe,
	})
	if err != nil {
		return nil, err
	}
	r.limiter = newBookingLimiter(db, r.cfg.SessionSecrets[0], cfg.BookingsPerMinute, cfg.BookingsAtOnce)
	r.payments, err = payments.New(db, r.bookings, r.cfg.StripeSecretKey, r.cfg.AppURL, payments.Options{
		Logger: logger, BaseURL: r.cfg.StripeAPIBase, RequestID: middleware.RequestID,
		Account: r.cfg.StripeAccount, MissingIsGone: r.standIn != nil, OnStep: observe,
		Admit:  r.limiter.admitBooking,
		OnBook: func(_ context.Context, result string, _ error) { r.metrics.Hold(result) },
	})
	if err != nil {
		return nil, err
	}
	r.receiver, err = webhook.New(db, r.cfg.StripeWebhookSecrets, webhook.Options{
		Logger: logger, Name: config.ReceiverName, Prepare: cfg.Prepare, Mode: modeOf(r.cfg.StripeSecretKey),
		MaxBody: routeLimits["/webhook"].Body, OnStep: observe,
		ClientAddress: func(req *http.Request) string { return middleware.Network(req.Context()) },
	})
	if err != nil {
		return nil, err
	}
	r.payments.Register(r.receiver)
	r.payments.RegisterBatch(r.receiver)
	if r.users, err = auth.NewUsers(db, auth.UsersOptions{Logger: logger}); err != nil {
		return nil, err
	}
	r.auth, err = auth.New(db, r.cfg.SessionSecrets, auth.Options{
		Logger: logger, Users: r.users, WriteError: middleware.WriteError, OnStep: observe,
		ClientAddress: func(req *http.Request) string { return middleware.Network(req.Context()) },
		OnUser:        func(ctx context.Context, user auth.User) { middleware.SetUser(ctx, user.ID) },
		Cookie: auth.CookieOptions{Insecure: !cfg.Cookie.Secure, SameSite: cfg.Cookie.SameSite,
			Domain: cfg.Cookie.Domain},
	})
	if err != nil {
		return nil, err
	}
	check := func(ctx context.Context) error { return migrations.Check(ctx, db, migrations.All) }
	r.ready = health.Ready(check, health.Options{Logger: logger})
	r.useMetrics()
	return r, nil
}

// useStandIn starts a Stripe of our own where no key of the real one is given, which the
// configuration allows in development alone.
func (r *rooms) useStandIn(self string) error {
	if r.cfg.StripeSecretKey != "" {
		return nil
	}
	r.cfg.StripeSecretKey = "sk_test_" + config.Random()
	r.cfg.StripeAPIBase = self + "/stripe"
	if len(r.cfg.StripeWebhookSecrets) == 0 {
		r.cfg.StripeWebhookSecrets = []string{"whsec_" + config.Random()}
	}
	var err error
	r.standIn, err = stripetest.New(stripetest.Options{
		SecretKey: r.cfg.StripeSecretKey, PublicURL: r.cfg.AppURL + "/stripe",
		WebhookURL: self + "/webhook", WebhookSecret: r.cfg.StripeWebhookSecrets[0], Logger: r.logger,
	})
	if err != nil {
		return fmt.Errorf("start the Stripe stand-in: %w", err)
	}
	return nil
}

// modeOf says which events are meant for a host with this key of Stripe's. The stand-in's
// key is one of test mode.
func modeOf(key string) webhook.Mode {
	_, rest, _ := strings.Cut(key, "_")
	switch {
	case strings.HasPrefix(rest, "live_"):
		return webhook.LiveMode
	case strings.HasPrefix(rest, "test_"):
		return webhook.TestMode
	}
	return webhook.AnyMode
}

// keptSecret signs sessions in development, where nobody sets a secret. Where it cannot
// be kept, logins end with the process.
func keptSecret(dir string, logger *slog.Logger) string {
	secret, err := config.KeepSessionSecret(dir)
	if err != nil {
		logger.Warn("the session secret cannot be kept; logins end with this process",
			slog.String("error", err.Error()))
		return config.Random()
	}
	return secret
}

// routes is every route of the host.
func (r *rooms) routes() *mux.Router {
	return router(r,
		api.New(api.Options{
			DB: r.db, Bookings: r.bookings, Payments: r.payments, Auth: r.auth, Receiver: r.receiver,
			AdmitMove: r.limiter.admit,
			Logger:    r.logger, AppURL: r.cfg.AppURL, Version: versionOf(r.cfg.Version),
			Started: time.Now(),
			Client:  middleware.Network, RequestID: middleware.RequestID, ServerErrors: r.stats.ServerErrors,
		}),
		pages.New(pages.Options{
			DB: r.db, Bookings: r.bookings, Payments: r.payments, Auth: r.auth, Receiver: r.receiver, AdmitMove: r.limiter.admit,
			Logger:  r.logger,
			StandIn: r.standIn != nil, Client: middleware.Network, RequestID: middleware.RequestID,
			NotFound: http.HandlerFunc(notFound),
		}))
}

// handler is the routes with the edge around them.
func (r *rooms) handler() (http.Handler, error) {
	opts := middleware.Options{
		Logger: r.logger, ClientIP: r.clientIP, Stats: r.stats, HSTS: strings.HasPrefix(r.cfg.AppURL, "https://"),
		TrustedOrigins: []string{r.cfg.AppURL}, Exempt: []string{"POST /webhook"},
		Private: []string{"/calendar/", "token=", "session_id="}, Counted: []string{"/webhook"},
		// The longest of any route's.
		Timeout: routeLimits["/webhook"].Time,
	}
	if r.standIn != nil {
		opts.FormTargets = []string{r.cfg.AppURL}
	}
	return middleware.Handler(r.routes(), opts)
}

// background runs the background work of the packages until ctx ends. It is safe on every
// replica at once.
func (r *rooms) background(ctx context.Context) {
	var running sync.WaitGroup
	for name, run := range map[string]func(context.Context) error{
		"booking": r.bookings.Run, "webhook": r.receiver.Run, "auth": r.auth.Run,
		"payments": func(ctx context.Context) error { return r.payments.Run(ctx, r.receiver) },
	} {
		running.Go(func() {
			if err := run(ctx); err != nil {
				r.logger.Error("background work ended", slog.String("package", name), slog.String("error", err.Error()))
			}
		})
	}
	running.Wait()
}
