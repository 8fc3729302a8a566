// Command webhook-only is a shop with orders to which Stripe webhooks were added that
// take effect exactly once.
//
// The shop is an ordinary net/http service on lib/pq with its own tables (orders.go,
// pages.go). All that it uses of booking-platform is in stripe.go.
//
//	DATABASE_URL=postgres://… go run ./examples/webhook-only
//
// runs it with the Stripe stand-in. It places an order and prints where to pay for it;
// the order's page then says "paid", with one parcel, however often the webhook is
// delivered.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	_ "github.com/lib/pq"

	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:4242", "address to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *addr, os.Getenv("DATABASE_URL"), os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "webhook-only:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, addr, databaseURL string, out io.Writer) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%w (choose another address with -addr)", err)
	}
	defer listener.Close()
	db, err := sql.Open("postgres", databaseURL)
	if err != nil {
		return err
	}
	defer db.Close()
	url := "http://" + listener.Addr().String()
	stripe := account{stripetest.SecretKey, stripetest.WebhookSecret, url + "/stripe"}
	fake, err := stripetest.New(stripetest.Options{
		SecretKey: stripe.key, PublicURL: stripe.api, WebhookURL: url + "/webhook", WebhookSecret: stripe.webhookSecret,
	})
	if err != nil {
		return err
	}
	p, err := assemble(ctx, db, url, stripe, slog.New(slog.NewTextHandler(out, nil)))
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- p.serve(ctx, listener, fake) }()
	o, payAt, err := p.shop.placeOrder(ctx)
	if err != nil {
		stop()
		return errors.Join(err, <-served)
	}
	defer stop()
	fmt.Fprintf(out, "The shop is at %s\nOrder %d is at %s/orders/%d\nPay for it at %s\nStop with Ctrl-C.\n",
		p.shop.url, o.ID, p.shop.url, o.ID, payAt)
	return <-served
}

// account is a Stripe account; api is the address of Stripe's API.
type account struct{ key, webhookSecret, api string }

// program is the shop and its webhook.
type program struct {
	shop     *shop
	receiver *webhook.Receiver
	routes   *http.ServeMux
}

func assemble(ctx context.Context, db *sql.DB, url string, stripe account, log *slog.Logger) (*program, error) {
	s, err := newShop(ctx, db, url, stripe.key, stripe.api)
	if err != nil {
		return nil, err
	}
	receiver, err := newWebhook(ctx, db, stripe.webhookSecret, log)
	if err != nil {
		return nil, err
	}
	mux := s.routes()
	mux.Handle("/webhook", receiver)
	return &program{shop: s, receiver: receiver, routes: mux}, nil
}

// serve runs until ctx ends, and then waits for requests in progress.
func (p *program) serve(ctx context.Context, listener net.Listener, fake *stripetest.Server) error {
	p.routes.Handle("/stripe/", http.StripPrefix("/stripe", fake))
	server := &http.Server{Handler: p.routes, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	served, delivered, worked := make(chan error, 1), make(chan error, 1), make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	go func() { delivered <- fake.Run(ctx) }()
	// Retries events that came before their order's commit, and deletes old ones.
	go func() { worked <- p.receiver.Run(ctx) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(grace), <-delivered, <-worked)
}
