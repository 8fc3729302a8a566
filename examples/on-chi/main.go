// Command on-chi is a service on chi that sells slots below /booking, with the pages and
// the JSON API of booking-platform, traced by OpenTelemetry and measured by Prometheus.
//
//	cd examples/on-chi && DATABASE_URL=postgres://… go run .
//
// Without STRIPE_SECRET_KEY it serves the Stripe stand-in below /stripe. booking.go has
// the bookings; this file is a service as it may exist already.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	_ "github.com/lib/pq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/sync/errgroup"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// config is the service's configuration.
type config struct {
	url                      string // the public address
	secretKey, webhookSecret string // Stripe's
	stripeAPI                string // the address of a fake; empty for Stripe's
	staffPassword            string
	ownerSecret              string // signs the links of customers; the same on all replicas
	traces                   *trace.TracerProvider
	metrics                  *prometheus.Registry
}

func main() {
	addr := flag.String("addr", "127.0.0.1:4245", "address to listen on")
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
	// Another exporter sends the spans to a collector.
	exporter, err := stdouttrace.New(stdouttrace.WithWriter(io.Discard))
	if os.Getenv("TRACES") == "stdout" {
		exporter, err = stdouttrace.New()
	}
	if err != nil {
		log.Fatal(err)
	}
	c := config{
		url:       cmp.Or(os.Getenv("APP_URL"), "http://"+listener.Addr().String()),
		secretKey: os.Getenv("STRIPE_SECRET_KEY"), webhookSecret: os.Getenv("STRIPE_WEBHOOK_SECRET"),
		staffPassword: cmp.Or(os.Getenv("STAFF_PASSWORD"), rand.Text()),
		ownerSecret:   cmp.Or(os.Getenv("OWNER_SECRET"), rand.Text()+rand.Text()),
		traces:        trace.NewTracerProvider(trace.WithBatcher(exporter)),
		metrics:       prometheus.NewRegistry(),
	}
	var fake *stripetest.Server
	if c.secretKey == "" {
		// A fake Stripe below /stripe.
		c.secretKey, c.webhookSecret, c.stripeAPI = stripetest.SecretKey, stripetest.WebhookSecret, c.url+"/stripe"
		fake, err = stripetest.New(stripetest.Options{SecretKey: c.secretKey, PublicURL: c.stripeAPI,
			WebhookURL: c.url + "/webhook", WebhookSecret: c.webhookSecret})
		if err != nil {
			log.Fatal(err)
		}
	}
	s, err := newService(ctx, db, c)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("Book at %s/booking/\n", c.url)
	if os.Getenv("STAFF_PASSWORD") == "" {
		fmt.Printf("Staff: %s/booking/dashboard, user staff, password %s\n", c.url, c.staffPassword)
	}
	if err := s.run(ctx, listener, fake); err != nil {
		log.Fatal(err)
	}
	_ = c.traces.Shutdown(context.WithoutCancel(ctx))
}

func (s *service) routes() chi.Router {
	r := chi.NewRouter()
	r.Use(middleware.RequestID, middleware.ClientIPFromRemoteAddr, middleware.Recoverer,
		otelhttp.NewMiddleware("on-chi", otelhttp.WithTracerProvider(s.traces)),
		middleware.SetHeader("X-Content-Type-Options", "nosniff"),
		// The pages and the API rely on this.
		http.NewCrossOriginProtection().Handler)
	r.Get("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, `<!doctype html><title>Club</title><h1>The club</h1><a href="/booking/">Book a court</a>`)
	})
	r.Handle("/metrics", promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{}))
	s.mount(r)
	return r
}

func (s *service) run(ctx context.Context, listener net.Listener, fake *stripetest.Server) error {
	routes := s.routes()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.background(ctx) })
	if fake != nil {
		routes.Mount("/stripe", http.StripPrefix("/stripe", fake))
		group.Go(func() error { return fake.Run(ctx) })
	}
	server := &http.Server{Handler: routes, ReadHeaderTimeout: 5 * time.Second}
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
