package auth_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// customers are users in a table with its own ids and roles.
type customers struct{ db *sql.DB }

// Authenticate refuses all: these users have no password here.
func (c customers) Authenticate(context.Context, string, string) (auth.User, error) {
	return auth.User{}, auth.ErrCredentials
}

// User is called for each request with a session.
func (c customers) User(ctx context.Context, id string) (auth.User, error) {
	u := auth.User{ID: id}
	err := c.db.QueryRowContext(ctx, `SELECT email, role FROM shop.customers WHERE id = $1 AND NOT locked`,
		id).Scan(&u.Email, &u.Role)
	if errors.Is(err, sql.ErrNoRows) {
		return auth.User{}, auth.ErrNotFound // The session ends, on every replica.
	}
	return u, err
}

// lock locks a customer and ends the sessions in one transaction, unless fraud is false.
func lock(ctx context.Context, db *sql.DB, a *auth.Auth, id string, fraud func() bool) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, `UPDATE shop.customers SET locked = true WHERE id = $1`, id); err != nil {
		return err
	}
	ended, err := a.EndAllTx(ctx, tx, id)
	if err != nil {
		return err
	}
	fmt.Println("sessions that end with the commit:", ended)
	if !fraud() {
		return errors.New("looked at again, and found honest")
	}
	return tx.Commit()
}

// Sessions for the users of another table, authenticated by single sign-on.
func Example_singleSignOn() {
	db, done := testdb.Example() // opened elsewhere, with the tables of migrations.Auth
	defer done()
	ctx := context.Background()
	_, err := db.ExecContext(ctx, `
		CREATE SCHEMA shop;
		CREATE TABLE shop.customers (id text PRIMARY KEY, email text, role text, locked boolean DEFAULT false);
		INSERT INTO shop.customers (id, email, role) VALUES
			('cus-ada', 'ada@example.com', 'buyer'), ('cus-eve', 'eve@example.com', 'buyer')`)
	if err != nil {
		panic(err)
	}
	const sessionSecret = "32 bytes or more from the configuration"
	a, err := auth.New(db, []string{sessionSecret}, auth.Options{Users: customers{db}, LoginPath: "/sso"})
	if err != nil {
		panic(err)
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /sso/callback", func(w http.ResponseWriter, r *http.Request) {
		id := r.FormValue("verified") // What the single sign-on has proven: a signed assertion's subject, say.
		if err := a.Start(r.Context(), w, r, id); err != nil {
			http.Error(w, "try again later", http.StatusServiceUnavailable)
			return
		}
		http.Redirect(w, r, auth.SafeNext(r.FormValue("next")), http.StatusSeeOther)
	})
	mux.Handle("GET /orders",
		a.RequireAPI(a.RequireRole("buyer")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, _ := auth.UserFrom(r.Context())
			fmt.Fprint(w, "orders of ", user.ID)
		}))))
	shop := httptest.NewTLSServer(mux)
	defer shop.Close()

	ada, eve := browser(shop), browser(shop)
	get(ada, shop.URL+"/sso/callback?verified=cus-ada&next=/orders")
	get(ada, shop.URL+"/sso/callback?verified=cus-ada&next=/orders")
	get(eve, shop.URL+"/sso/callback?verified=cus-eve&next=/orders")

	fmt.Println(lock(ctx, db, a, "cus-eve", func() bool { return false }))
	get(eve, shop.URL+"/orders")
	fmt.Println(lock(ctx, db, a, "cus-eve", func() bool { return true }))
	get(eve, shop.URL+"/orders")
	get(ada, shop.URL+"/orders")

	// Output:
	// 200 orders of cus-ada
	// 200 orders of cus-ada
	// 200 orders of cus-eve
	// sessions that end with the commit: 1
	// looked at again, and found honest
	// 200 orders of cus-eve
	// sessions that end with the commit: 1
	// <nil>
	// 401 {"error":"unauthorized"}
	// 200 orders of cus-ada
}

func browser(server *httptest.Server) *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err)
	}
	return &http.Client{Jar: jar, Transport: server.Client().Transport}
}

// get prints a response.
func get(c *http.Client, url string) {
	resp, err := c.Get(url)
	if err != nil {
		panic(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		panic(err)
	}
	fmt.Println(resp.StatusCode, strings.TrimSpace(string(body)))
}
