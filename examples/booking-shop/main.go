// Command booking-shop sells the hours of a tennis court: packages booking, payments and
// webhook in a service that has its own table of orders and plain net/http.
//
//	DATABASE_URL=postgres://… go run ./examples/booking-shop
//
// Without STRIPE_SECRET_KEY it serves the Stripe stand-in below /stripe, with a pay page.
// shop.go has the orders, and marks one as paid in the transaction that confirms its
// booking; this file connects the packages.
package main

import (
	"cmp"
	"context"
	"database/sql"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	_ "github.com/lib/pq"
	"golang.org/x/sync/errgroup"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/migrations"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:4243", "address to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	db, err := sql.Open("postgres", os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	// Stripe redirects customers to APP_URL, so it is the address that their browsers use.
	url := cmp.Or(os.Getenv("APP_URL"), "http://"+listener.Addr().String())
	s, err := newShop(ctx, db, url, os.Getenv("STRIPE_SECRET_KEY"), os.Getenv("STRIPE_WEBHOOK_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("The shop is at", url)
	if err := s.run(ctx, listener); err != nil {
		log.Fatal(err)
	}
}

// newShop creates the tables and the court. Without a secret key Stripe is the fake.
func newShop(ctx context.Context, db *sql.DB, url, secretKey, webhookSecret string) (*shop, error) {
	if _, err := migrations.Up(ctx, db, migrations.Payments); err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, ordersSQL); err != nil {
		return nil, err
	}
	s := &shop{db: db}
	opts := payments.Options{Logger: slog.Default(), OnTransition: onTransition}
	var err error
	if secretKey == "" {
		secretKey, webhookSecret = "sk_test_example", "whsec_example"
		// The fake forgets its sessions on restart.
		opts.BaseURL, opts.MissingIsGone = url+"/stripe", true
		s.stripe, err = stripetest.New(stripetest.Options{SecretKey: secretKey, PublicURL: url + "/stripe",
			WebhookURL: url + "/webhook", WebhookSecret: webhookSecret})
		if err != nil {
			return nil, err
		}
	}
	s.bookings, err = booking.New(db, booking.Options{Logger: slog.Default(), MaxHoldsPerClient: 10})
	if err != nil {
		return nil, err
	}
	s.payments, err = payments.New(db, s.bookings, secretKey, url, opts)
	if err != nil {
		return nil, err
	}
	s.receiver, err = webhook.New(db, []string{webhookSecret}, webhook.Options{Logger: slog.Default()})
	if err != nil {
		return nil, err
	}
	s.payments.Register(s.receiver)
	_, err = s.bookings.ApplyResource(ctx, court, booking.ApplyOptions{})
	return s, err
}

// run serves and does the background work of each package until ctx ends.
func (s *shop) run(ctx context.Context, listener net.Listener) error {
	mux := s.routes()
	mux.Handle("/webhook", s.receiver)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.bookings.Run(ctx) })             // releases expired holds
	group.Go(func() error { return s.receiver.Run(ctx) })             // retries early events
	group.Go(func() error { return s.payments.Run(ctx, s.receiver) }) // makes refunds, reconciles
	if s.stripe != nil {
		mux.Handle("/stripe/", http.StripPrefix("/stripe", s.stripe))
		group.Go(func() error { return s.stripe.Run(ctx) }) // delivers webhooks
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	group.Go(func() error {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return server.Shutdown(grace)
	})
	group.Go(func() error {
		if err := server.Serve(listener); err != http.ErrServerClosed {
			return err
		}
		return nil
	})
	return group.Wait()
}
