package auth_test

import (
	"context"
	"database/sql"
	"errors"
	"log"
	"log/slog"
	"net/http"

	"github.com/booking-platform/booking-platform/auth"
)

// An existing service gains logins: its handlers stay as they are and are wrapped.
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

// customers are the users of somebody else's table: ids, roles and passwords are theirs.
type customers struct{ db *sql.DB }

// Authenticate refuses everybody: these users come from a single sign-on and have no password here.
func (c customers) Authenticate(context.Context, string, string) (auth.User, error) {
	return auth.User{}, auth.ErrCredentials
}

func (c customers) User(ctx context.Context, id string) (auth.User, error) {
	u := auth.User{ID: id}
	err := c.db.QueryRowContext(ctx, `SELECT email, role FROM customers WHERE id::text = $1 AND NOT locked`, id).Scan(&u.Email, &u.Role)
	if errors.Is(err, sql.ErrNoRows) {
		return auth.User{}, auth.ErrNotFound // the session ends, on every replica
	}
	return u, err
}

// A single sign-on has established who the visitor is; the session is ours, the user is not.
func ExampleAuth_Start() {
	var db *sql.DB
	var sessionSecret string
	var verifySSO func(*http.Request) (customerID string, err error)

	a, err := auth.New(db, []string{sessionSecret}, auth.Options{Users: customers{db}})
	if err != nil {
		return
	}
	http.HandleFunc("GET /sso/callback", func(w http.ResponseWriter, r *http.Request) {
		id, err := verifySSO(r)
		if err != nil {
			http.Error(w, "not signed in", http.StatusForbidden)
			return
		}
		if err := a.Start(r.Context(), w, r, id); err != nil {
			http.Error(w, "try again later", http.StatusServiceUnavailable)
			return
		}
		http.Redirect(w, r, auth.SafeNext(r.FormValue("next")), http.StatusSeeOther)
	})
}

// A customer is locked and loses every session in one transaction: both happen or neither.
func ExampleAuth_EndAllTx() {
	var a *auth.Auth
	var db *sql.DB

	lock := func(ctx context.Context, id string) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if _, err := tx.ExecContext(ctx, `UPDATE customers SET locked = true WHERE id::text = $1`, id); err != nil {
			return err
		}
		if _, err := a.EndAllTx(ctx, tx, id); err != nil {
			return err
		}
		return tx.Commit()
	}
	_ = lock
}

// A login page without scripts takes a form and writes its own answers.
func ExampleAuth_Login() {
	var a *auth.Auth
	var render func(w http.ResponseWriter, status int, message string)

	http.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
		_, err := a.Login(r.Context(), w, r, r.PostFormValue("email"), r.PostFormValue("password"))
		var wrong *auth.ValidationError
		switch {
		case errors.As(err, &wrong), errors.Is(err, auth.ErrCredentials):
			render(w, http.StatusUnauthorized, "Address or password is wrong.")
		case err != nil:
			render(w, http.StatusServiceUnavailable, "Please try again in a moment.")
		default:
			http.Redirect(w, r, auth.SafeNext(r.PostFormValue("next")), http.StatusSeeOther)
		}
	})
}

// Users are added and changed without a page for it, by an installer say. Another password and disabling end the user's sessions.
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
