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

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/cmd/host/internal/mailbox"
	"github.com/booking-platform/booking-platform/cmd/host/internal/metrics"
	"github.com/booking-platform/booking-platform/cmd/host/internal/middleware"
	"github.com/booking-platform/booking-platform/cmd/host/internal/postgres"
	"github.com/booking-platform/booking-platform/customers"
	"github.com/booking-platform/booking-platform/health"
	"github.com/booking-platform/booking-platform/locale"
	"github.com/booking-platform/booking-platform/migrations"
	"github.com/booking-platform/booking-platform/notify"
	"github.com/booking-platform/booking-platform/notify/smtp"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
)

// services holds the packages that one host is made of.
type services struct {
	cfg       config.Config
	db        *sql.DB
	replica   *postgres.Replica // nil without DATABASE_READ_URL.
	logger    *slog.Logger
	bookings  *booking.Store
	payments  *payments.Payments
	receiver  *webhook.Receiver
	users     *auth.UserTable
	auth      *auth.Auth
	customers *customers.Customers
	limiter   *bookingLimiter
	ready     *health.Readiness
	stats     *middleware.Stats
	metrics   *metrics.Metrics
	paused    *maintenance
	clientIP  *middleware.ClientIP

	messages   *notify.Store
	mailServer *smtp.Sender // nil without SMTP_URL.
	mailbox    *mailbox.Box // In development without SMTP_URL, else nil.

	// sendLinks is pages.Options.SendLinks, nil if no messages are sent.
	sendLinks func(ctx context.Context, email string) error

	stripeFake *stripetest.Server // nil with a real Stripe account.
}

// newServices makes the packages. self is the local address of the host.
func newServices(cfg config.Config, db *sql.DB, replica *postgres.Replica, self string,
	logger *slog.Logger) (*services, error) {
	s := &services{cfg: cfg, db: db, replica: replica, logger: logger, stats: &middleware.Stats{},
		paused: newMaintenance(db, logger)}
	s.clientIP = middleware.NewClientIP(cfg.TrustProxy.Count, cfg.TrustProxy.Networks)
	if s.cfg.AppURL == "" {
		s.cfg.AppURL = self
	}
	if len(s.cfg.SessionSecrets) == 0 {
		s.cfg.SessionSecrets = []string{devSessionSecret(cfg.DataDir, logger)}
	}
	if err := s.useStripeFake(self); err != nil {
		return nil, err
	}
	owners, err := booking.DeriveOwnerSecrets(s.cfg.SessionSecrets)
	if err != nil {
		return nil, err
	}
	observe := func(step string, took time.Duration, items int, err error) { s.metrics.Step(step, took, items, err) }
	s.bookings, err = booking.New(db, booking.Options{
		Logger: logger, OwnerSecrets: owners, CompleteAfter: 24 * time.Hour, Prepare: cfg.Prepare,
		MaxHoldsPerEmail: cfg.HoldsPerEmail, MaxHoldsPerEmailAnywhere: cfg.HoldsPerEmailAnywhere,
		MaxHoldsPerClient: cfg.HoldsPerAddress, OnStep: observe, PersonalDataFor: cfg.PersonalDataFor,
		ReadFrom: replica.For,
		KeepPersonalData: func(ctx context.Context, ids []string) ([]string, error) {
			return s.payments.UnsettledBookings(ctx, ids)
		},
	})
	if err != nil {
		return nil, err
	}
	s.limiter = newBookingLimiter(db, s.cfg.SessionSecrets[0], cfg.BookingsPerMinute, cfg.BookingsAtOnce)
	s.payments, err = payments.New(db, s.bookings, s.cfg.StripeSecretKey, s.cfg.AppURL, payments.Options{
		Logger: logger, BaseURL: s.cfg.StripeAPIBase, RequestID: middleware.RequestID,
		Account: s.cfg.StripeAccount, MissingIsGone: s.stripeFake != nil, OnStep: observe,
		Admit: s.limiter.admitBooking,
		Texts: checkoutTexts, PersonalDataFor: cfg.PersonalDataFor,
		OnBook: func(_ context.Context, result string, _ error) { s.metrics.Hold(result) },
	})
	if err != nil {
		return nil, err
	}
	s.receiver, err = webhook.New(db, s.cfg.StripeWebhookSecrets, webhook.Options{
		Logger: logger, Name: config.ReceiverName, Prepare: cfg.Prepare, Mode: modeOf(s.cfg.StripeSecretKey),
		MaxBody: routeLimits["/webhook"].Body, OnStep: observe, PersonalDataFor: cfg.PersonalDataFor,
		Erased:        s.payments.IsErased,
		ClientAddress: func(req *http.Request) string { return middleware.Network(req.Context()) },
		// The receiver logs each delivery.
		Observe: func(ctx context.Context, _ webhook.Delivery) { middleware.SetLogged(ctx) },
	})
	if err != nil {
		return nil, err
	}
	s.payments.Register(s.receiver)
	s.payments.RegisterBatch(s.receiver)
	if s.users, err = auth.NewUsers(db, auth.UsersOptions{Logger: logger}); err != nil {
		return nil, err
	}
	s.auth, err = auth.New(db, s.cfg.SessionSecrets, auth.Options{
		Logger: logger, Users: s.users, WriteError: middleware.WriteError, OnStep: observe,
		ClientAddress: func(req *http.Request) string { return middleware.Network(req.Context()) },
		OnUser:        func(ctx context.Context, user auth.User) { middleware.SetUser(ctx, user.ID) },
		Cookie: auth.CookieOptions{Insecure: !cfg.Cookie.Secure, SameSite: cfg.Cookie.SameSite,
			Domain: cfg.Cookie.Domain},
	})
	if err != nil {
		return nil, err
	}
	if err = s.useMessages(observe); err != nil {
		return nil, err
	}
	s.customers, err = customers.New(customers.Parts{Bookings: s.bookings, Payments: s.payments,
		Ledgers: []*webhook.Ledger{s.receiver.Ledger()}, Users: s.users, Messages: s.messages},
		customers.Options{Logger: logger})
	if err != nil {
		return nil, err
	}
	check := func(ctx context.Context) error { return migrations.Check(ctx, db, migrations.All) }
	s.ready = health.Ready(check, health.Options{Logger: logger})
	s.useMetrics()
	return s, nil
}

// checkoutTexts are what the customer reads on Stripe's page, in the booking's language:
// what is booked and under which number, and the terms beside the pay button.
func checkoutTexts(_ context.Context, b booking.Booking, r booking.Resource) payments.Texts {
	zone, err := r.Zone()
	if err != nil {
		// The default texts report it.
		return payments.Texts{}
	}
	l := locale.Of(b.Language)
	description := l.Span(b.Start, b.End, zone)
	if b.Party > 1 {
		description += ", " + l.T("%d people", b.Party)
	}
	if b.Number != "" {
		description += ". " + l.T("Booking %s", b.Number)
	}
	return payments.Texts{
		Description: description,
		Submit:      l.Terms(b, zone, time.Now()),
		Locale:      b.Language,
	}
}

// useStripeFake replaces Stripe by package stripetest if there is no key, which the
// configuration allows in development only.
func (s *services) useStripeFake(self string) error {
	if s.cfg.StripeSecretKey != "" {
		return nil
	}
	s.cfg.StripeSecretKey = "sk_test_" + config.Random()
	s.cfg.StripeAPIBase = self + "/stripe"
	if len(s.cfg.StripeWebhookSecrets) == 0 {
		s.cfg.StripeWebhookSecrets = []string{"whsec_" + config.Random()}
	}
	var err error
	s.stripeFake, err = stripetest.New(stripetest.Options{
		SecretKey: s.cfg.StripeSecretKey, PublicURL: s.cfg.AppURL + "/stripe",
		WebhookURL: self + "/webhook", WebhookSecret: s.cfg.StripeWebhookSecrets[0], Logger: s.logger,
	})
	if err != nil {
		return fmt.Errorf("start the Stripe stand-in: %w", err)
	}
	return nil
}

// modeOf returns the mode of a key, whose events alone the receiver takes.
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

// devSessionSecret is the secret in development without SESSION_SECRET. It is kept in the
// data folder, or else lasts as long as the process.
func devSessionSecret(dir string, logger *slog.Logger) string {
	secret, err := config.KeepSessionSecret(dir)
	if err != nil {
		logger.Warn("cannot store the session secret; logins end with this process",
			slog.String("error", err.Error()))
		return config.Random()
	}
	return secret
}

// background runs the background work of the packages until ctx ends, except during
// maintenance.
func (s *services) background(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { s.paused.follow(ctx) })
	if s.replica != nil {
		running.Go(func() { s.replica.Follow(ctx) })
	}
	running.Go(func() { s.paused.whileOff(ctx, s.steps) })
	running.Wait()
}

// steps runs the background work of the packages until ctx ends.
func (s *services) steps(ctx context.Context) {
	var running sync.WaitGroup
	for name, run := range map[string]func(context.Context) error{
		"booking": s.bookings.Run, "webhook": s.receiver.Run, "auth": s.auth.Run,
		"notify":   s.messages.Run,
		"payments": func(ctx context.Context) error { return s.payments.Run(ctx, s.receiver) },
	} {
		running.Go(func() {
			if err := run(ctx); err != nil {
				s.logger.Error("background work ended", slog.String("package", name), slog.String("error", err.Error()))
			}
		})
	}
	running.Wait()
}
