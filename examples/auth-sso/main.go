// Command auth-sso is a service with its own table of users, single sign-on by OpenID
// Connect, and the sessions and guards of package auth.
//
//	DATABASE_URL=postgres://… go run ./examples/auth-sso
//
// Without OIDC_CLIENT_ID it serves a provider of its own below /provider, on whose page
// you choose a person. users.go has the table, sso.go the sign-on, this file the guarded
// routes.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"html"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	_ "github.com/lib/pq"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/migrations"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:4244", "address to listen on")
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
	p := provider{
		authorizeURL: os.Getenv("OIDC_AUTHORIZE_URL"), tokenURL: os.Getenv("OIDC_TOKEN_URL"),
		userinfoURL: os.Getenv("OIDC_USERINFO_URL"),
		clientID:    os.Getenv("OIDC_CLIENT_ID"), clientSecret: os.Getenv("OIDC_CLIENT_SECRET"),
	}
	// Replicas need the same secret. A random one ends the sessions at a restart.
	s, err := newService(ctx, db, url, cmp.Or(os.Getenv("SESSION_SECRET"), rand.Text()+rand.Text()), p)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("The service is at", url)
	if err := s.run(ctx, listener); err != nil {
		log.Fatal(err)
	}
}

type service struct {
	url      string
	users    users
	auth     *auth.Auth
	provider provider
}

// newService creates the tables.
func newService(ctx context.Context, db *sql.DB, url, secret string, p provider) (*service, error) {
	if _, err := migrations.Up(ctx, db, migrations.Auth); err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, usersSQL); err != nil {
		return nil, err
	}
	a, err := auth.New(db, []string{secret}, auth.Options{
		Logger: slog.Default(), Users: users{db}, LoginPath: "/login",
		// Without https there is no Secure cookie.
		Cookie: auth.CookieOptions{Insecure: strings.HasPrefix(url, "http://")},
	})
	return &service{url: url, users: users{db}, auth: a, provider: p}, err
}

// routes are public, for every user, or for admins.
func (s *service) routes() http.Handler {
	mux := http.NewServeMux()
	if s.provider.clientID == "" {
		s.provider = ownProvider(mux, s.url)
	}
	mux.HandleFunc("GET /login", s.login)
	mux.HandleFunc("GET /callback", s.callback)
	mux.HandleFunc("POST /logout", s.logout)
	mux.Handle("GET /{$}", s.auth.RequirePage(http.HandlerFunc(s.front)))
	mux.Handle("GET /api/me", s.auth.MeHandler())
	admins := s.auth.RequireRole("admin")
	mux.Handle("GET /api/users", s.auth.RequireAPI(admins(http.HandlerFunc(s.listUsers))))
	mux.Handle("POST /api/users/{id}/disable", s.auth.RequireAPI(admins(http.HandlerFunc(s.disableUser))))
	return http.NewCrossOriginProtection().Handler(mux)
}

func (s *service) front(w http.ResponseWriter, r *http.Request) {
	user, _ := auth.UserFrom(r.Context())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<!doctype html><title>Users</title><h1>%s, %s</h1>
<p><a href="/api/me">Me</a>, <a href="/api/users">all users</a> (for admins)</p>
<form method="post" action="/logout"><button>Log out</button></form>`,
		html.EscapeString(user.Email), html.EscapeString(user.Role))
}

// logout ends the session on every replica.
func (s *service) logout(w http.ResponseWriter, r *http.Request) {
	if err := s.auth.End(r.Context(), w, r); err != nil {
		http.Error(w, "try again", http.StatusServiceUnavailable)
		return
	}
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// run serves, and deletes expired sessions, until ctx ends.
func (s *service) run(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: s.routes(), ReadHeaderTimeout: 5 * time.Second}
	served, cleaned := make(chan error, 1), make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	go func() { cleaned <- s.auth.Run(ctx) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(grace), <-cleaned)
}
