// Command booking-shop sells the hours of a tennis court: packages booking, payments and
// webhook in a service with its own table of orders and plain net/http.
//
//	DATABASE_URL=postgres://… go run ./examples/booking-shop
//
// Without STRIPE_SECRET_KEY it serves the Stripe stand-in below /stripe, with a pay page.
// shop.go marks an order as paid in the transaction that confirms its booking; this file
// connects the packages.
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
	// Stripe redirects customers to APP_URL: the address that their browsers use.
	url := cmp.Or(os.Getenv("APP_URL"), "http://"+listener.Addr().String())
	account := account{key: os.Getenv("STRIPE_SECRET_KEY"), webhookSecret: os.Getenv("STRIPE_WEBHOOK_SECRET")}
	var fake *stripetest.Server
	if account.key == "" {
		if fake, account, err = newFake(url); err != nil {
			log.Fatal(err)
		}
	}
	s, err := newShop(ctx, db, url, account)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("The shop is at", url)
	if err := s.run(ctx, listener, fake); err != nil {
		log.Fatal(err)
	}
}

// account is a Stripe account.
type account struct {
	key, webhookSecret string
	api                string // the address of a fake; empty for Stripe's
}

// newFake is served below /stripe of the shop.
func newFake(url string) (*stripetest.Server, account, error) {
	a := account{stripetest.SecretKey, stripetest.WebhookSecret, url + "/stripe"}
	fake, err := stripetest.New(stripetest.Options{SecretKey: a.key, PublicURL: a.api, WebhookURL: url + "/webhook",
		WebhookSecret: a.webhookSecret})
	return fake, a, err
}

// newShop creates the tables and the court.
func newShop(ctx context.Context, db *sql.DB, url string, stripe account) (*shop, error) {
	if _, err := migrations.Up(ctx, db, migrations.Payments); err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, ordersSQL); err != nil {
		return nil, err
	}
	s := &shop{db: db}
	var err error
	s.bookings, err = booking.New(db, booking.Options{Logger: slog.Default(), MaxHoldsPerClient: 10})
	if err != nil {
		return nil, err
	}
	s.payments, err = payments.New(db, s.bookings, stripe.key, url, payments.Options{
		Logger: slog.Default(), OnTransition: onTransition,
		// A fake forgets its sessions on restart.
		BaseURL: stripe.api, MissingIsGone: stripe.api != "",
	})
	if err != nil {
		return nil, err
	}
	s.receiver, err = webhook.New(db, []string{stripe.webhookSecret}, webhook.Options{Logger: slog.Default()})
	if err != nil {
		return nil, err
	}
	s.payments.Register(s.receiver)
	_, err = s.bookings.ApplyResource(ctx, court, booking.ApplyOptions{})
	return s, err
}

// background works until ctx ends. It is safe on every replica.
func (s *shop) background(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.bookings.Run(ctx) })             // releases expired holds
	group.Go(func() error { return s.receiver.Run(ctx) })             // retries early events
	group.Go(func() error { return s.payments.Run(ctx, s.receiver) }) // makes refunds, reconciles
	return group.Wait()
}

func (s *shop) run(ctx context.Context, listener net.Listener, fake *stripetest.Server) error {
	mux := s.routes()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.background(ctx) })
	if fake != nil {
		mux.Handle("/stripe/", http.StripPrefix("/stripe", fake))
		group.Go(func() error { return fake.Run(ctx) }) // delivers webhooks
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
