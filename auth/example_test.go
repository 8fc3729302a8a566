package auth_test

import (
	"context"
	"database/sql"
	"errors"
	"log"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/booking-platform/booking-platform/auth"
)

// Wrap the existing handlers of a service.
func Example() {
	var db *sql.DB                     // opened elsewhere, with the tables of migrations.Auth
	var sessionSecret string           // 32 bytes or more, from the configuration
	var orders, dashboard http.Handler // the service's own

	a, err := auth.New(db, []string{sessionSecret}, auth.Options{Logger: slog.Default()})
	if err != nil {
		return // a missing or short secret stops the start
	}
	mux := http.NewServeMux()
	mux.Handle("/auth/login", a.LoginHandler())
	mux.Handle("/auth/logout", a.LogoutHandler())
	mux.Handle("/auth/me", a.MeHandler())
	mux.Handle("GET /api/orders", a.RequireAPI(orders))
	mux.Handle("POST /api/orders", a.RequireAPI(a.RequireRole(auth.RoleAdmin, auth.RoleOps)(orders)))
	mux.Handle("/dashboard", a.RequirePage(dashboard))

	_ = http.NewCrossOriginProtection().Handler(mux) // serve this
}

// A login page without scripts takes a form and writes its own responses.
func ExampleAuth_Login() {
	var a *auth.Auth
	var render func(w http.ResponseWriter, status int, message string)

	http.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
		_, err := a.Login(r.Context(), w, r, r.PostFormValue("email"), r.PostFormValue("password"))
		var wrong *auth.ValidationError
		var limited *auth.LimitError
		switch {
		case errors.As(err, &limited):
			w.Header().Set("Retry-After", strconv.Itoa(int(limited.RetryAfter/time.Second)))
			render(w, http.StatusTooManyRequests, "Too many attempts. Please wait a moment.")
		case errors.As(err, &wrong), errors.Is(err, auth.ErrCredentials):
			render(w, http.StatusUnauthorized, "Address or password is wrong.")
		case err != nil:
			render(w, http.StatusServiceUnavailable, "Please try again in a moment.")
		default:
			http.Redirect(w, r, auth.SafeNext(r.PostFormValue("next")), http.StatusSeeOther)
		}
	})
}

// Add and change users from an installer, for example. A new password and disabling end
// the user's sessions.
func ExampleUserTable_Add() {
	var db *sql.DB
	ctx := context.Background()
	users, err := auth.NewUsers(db, auth.UsersOptions{})
	if err != nil {
		log.Fatal(err)
	}
	_, err = users.Add(ctx, "ada@example.com", "correct horse battery", auth.RoleOps)
	if err != nil && !errors.Is(err, auth.ErrExists) {
		log.Fatal(err)
	}
	if _, err := users.Disable(ctx, "grace@example.com"); err != nil && !errors.Is(err, auth.ErrNotFound) {
		log.Fatal(err)
	}
}
