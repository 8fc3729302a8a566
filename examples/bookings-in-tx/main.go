// Command bookings-in-tx sells tennis lessons. A booking, the service's own row and a
// River job are committed together or not at all: in a request, in a handler of a Stripe
// event, and in the hook that package payments calls.
//
//	cd examples/bookings-in-tx && DATABASE_URL=postgres://… go run .
//
// Without STRIPE_SECRET_KEY it serves a fake Stripe below /stripe. lessons.go has the
// transactions, jobs.go the queue; this file connects the packages.
package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
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
	"github.com/riverqueue/river"
	"golang.org/x/sync/errgroup"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/migrations"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:4246", "address to listen on")
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
	url := cmp.Or(os.Getenv("APP_URL"), "http://"+listener.Addr().String())
	account := account{key: os.Getenv("STRIPE_SECRET_KEY"), webhookSecret: os.Getenv("STRIPE_WEBHOOK_SECRET")}
	var fake *stripetest.Server
	if account.key == "" {
		account.key, account.webhookSecret, account.api = stripetest.SecretKey, stripetest.WebhookSecret, url+"/stripe"
		fake, err = stripetest.New(stripetest.Options{SecretKey: account.key, PublicURL: account.api,
			WebhookURL: url + "/webhook", WebhookSecret: account.webhookSecret})
		if err != nil {
			log.Fatal(err)
		}
	}
	send := func(_ context.Context, m mail) error {
		fmt.Printf("mail %q about %s %s\n", m.Template, m.About, m.ID)
		return nil
	}
	s, err := newService(ctx, db, url, account, send)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("The club is at", url)
	if err := s.run(ctx, listener, fake); err != nil {
		log.Fatal(err)
	}
}

// account is a Stripe account.
type account struct {
	key, webhookSecret string
	api                string // the address of a fake; empty for Stripe's
}

type service struct {
	db       *sql.DB
	bookings *booking.Store
	payments *payments.Payments
	receiver *webhook.Receiver
	queue    *river.Client[*sql.Tx]
}

// newService creates the tables and what can be booked.
func newService(ctx context.Context, db *sql.DB, url string, stripe account,
	send func(context.Context, mail) error) (*service, error) {
	if _, err := migrations.Up(ctx, db, migrations.Payments); err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, tablesSQL); err != nil {
		return nil, err
	}
	s := &service{db: db}
	var err error
	if s.queue, err = newQueue(ctx, db, send); err != nil {
		return nil, err
	}
	if s.bookings, err = booking.New(db, booking.Options{Logger: slog.Default()}); err != nil {
		return nil, err
	}
	s.payments, err = payments.New(db, s.bookings, stripe.key, url, payments.Options{
		Logger: slog.Default(), OnTransition: s.onTransition,
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
	s.receiver.Handle("radar.early_fraud_warning.created", s.fraudWarning)
	for _, r := range []booking.Resource{trial, lesson} {
		if _, err := s.bookings.ApplyResource(ctx, r, booking.ApplyOptions{}); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// background works until ctx ends, also for the queue.
func (s *service) background(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.bookings.Run(ctx) })
	group.Go(func() error { return s.receiver.Run(ctx) })
	group.Go(func() error { return s.payments.Run(ctx, s.receiver) })
	group.Go(func() error {
		// Jobs in progress may finish after ctx has ended.
		if err := s.queue.Start(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return s.queue.Stop(grace)
	})
	return group.Wait()
}

func (s *service) run(ctx context.Context, listener net.Listener, fake *stripetest.Server) error {
	mux := s.routes()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.background(ctx) })
	if fake != nil {
		mux.Handle("/stripe/", http.StripPrefix("/stripe", fake))
		group.Go(func() error { return fake.Run(ctx) })
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	group.Go(func() error {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return server.Shutdown(grace)
	})
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return group.Wait()
}
