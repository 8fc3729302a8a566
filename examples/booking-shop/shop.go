package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

// The shop's own table. The id is random and opens the order's page.
const ordersSQL = `
CREATE SCHEMA IF NOT EXISTS shop;
CREATE TABLE IF NOT EXISTS shop.orders (
	id         text PRIMARY KEY,
	email      text NOT NULL,
	status     text NOT NULL DEFAULT 'open',
	booking_id uuid REFERENCES booking_platform.bookings (id)
)`

var court = booking.Resource{
	Slug: "court-1", Name: "Court 1", TimeZone: "Europe/Paris", SlotLength: time.Hour,
	Price: booking.Money{Minor: 2500, Currency: "eur"},
}

type shop struct {
	db       *sql.DB
	bookings *booking.Store
	payments *payments.Payments
	receiver *webhook.Receiver
}

// onTransition marks an order as paid in the transaction that confirms its booking. It
// sends nothing, because the transaction may run again.
func onTransition(ctx context.Context, tx payments.Tx, t payments.Transition) error {
	// A refund may be reported before its payment: the booking is then cancelled already.
	if t.Kind != payments.TransitionPaid || t.Booking.Status != booking.StatusConfirmed {
		return nil
	}
	_, err := tx.ExecContext(ctx, `UPDATE shop.orders SET status = 'paid', booking_id = $2 WHERE id = $1`,
		t.Booking.Reference, t.Booking.ID)
	return err
}

func (s *shop) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("/webhook", s.receiver)
	mux.HandleFunc("GET /{$}", s.getFront)
	mux.HandleFunc("POST /orders", s.postOrder)
	mux.HandleFunc("GET /orders/{id}", s.getOrder)
	mux.HandleFunc("GET /success", s.getSuccess)                              // After the payment.
	mux.Handle("GET /cancel", http.RedirectHandler("/", http.StatusSeeOther)) // Back from the pay page.
	return mux
}

func (s *shop) getFront(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	slots, err := s.bookings.Slots(r.Context(), court.Slug, now, now.Add(24*time.Hour), 1)
	if err != nil {
		fail(w, err)
		return
	}
	show(w, "front", map[string]any{"Order": rand.Text(), "Court": court, "Slots": slots})
}

// postOrder takes the order's id from the form, so that a second click leads to the same
// order, booking and payment.
func (s *shop) postOrder(w http.ResponseWriter, r *http.Request) {
	id, email := r.PostFormValue("order"), r.PostFormValue("email")
	start, err := time.Parse(time.RFC3339, r.PostFormValue("start"))
	if err != nil || len(id) != len(rand.Text()) {
		http.Error(w, "use the form", http.StatusBadRequest)
		return
	}
	res, err := s.db.ExecContext(r.Context(), `INSERT INTO shop.orders (id, email) VALUES ($1, $2)
		ON CONFLICT (id) DO UPDATE SET email = excluded.email WHERE orders.email = excluded.email`, id, email)
	if err != nil {
		fail(w, err)
		return
	}
	if n, err := res.RowsAffected(); n == 0 || err != nil {
		http.Error(w, "this order has another customer", http.StatusConflict)
		return
	}
	client, _, _ := net.SplitHostPort(r.RemoteAddr)
	booked, err := s.payments.Book(r.Context(), booking.HoldRequest{
		Resource: court.Slug, Start: start, Reference: id, IdempotencyKey: id, Client: client,
		Customer: booking.Customer{
			FirstName: r.PostFormValue("first"), LastName: r.PostFormValue("last"), Email: email,
		},
	})
	if err != nil {
		fail(w, err)
		return
	}
	http.Redirect(w, r, booked.URL, http.StatusSeeOther)
}

// getSuccess asks Stripe if the webhook is late: the visit itself proves no payment.
func (s *shop) getSuccess(w http.ResponseWriter, r *http.Request) {
	p, err := s.payments.RefreshSession(r.Context(), r.FormValue("session_id"))
	var b booking.Booking
	if err == nil || errors.Is(err, payments.ErrUnavailable) {
		b, err = s.bookings.Get(r.Context(), p.BookingID)
	}
	if err != nil {
		fail(w, err)
		return
	}
	http.Redirect(w, r, "/orders/"+b.Reference, http.StatusSeeOther)
}

func (s *shop) getOrder(w http.ResponseWriter, r *http.Request) {
	var status string
	err := s.db.QueryRowContext(r.Context(), `SELECT status FROM shop.orders WHERE id = $1`,
		r.PathValue("id")).Scan(&status)
	if err != nil {
		fail(w, err)
		return
	}
	show(w, "order", status)
}

// fail answers an error with what the customer can do about it.
func fail(w http.ResponseWriter, err error) {
	var invalid *booking.ValidationError
	switch {
	case errors.As(err, &invalid):
		http.Error(w, fmt.Sprint(invalid.Fields), http.StatusUnprocessableEntity)
	case errors.Is(err, booking.ErrSlotTaken), errors.Is(err, booking.ErrIdempotencyMismatch):
		http.Error(w, "choose another time", http.StatusConflict)
	case errors.Is(err, sql.ErrNoRows), errors.Is(err, booking.ErrNotFound), errors.Is(err, payments.ErrNotFound):
		http.Error(w, "not found", http.StatusNotFound)
	case errors.Is(err, booking.ErrTooManyHolds):
		http.Error(w, "pay for your other bookings first", http.StatusTooManyRequests)
	default:
		http.Error(w, "try again in a minute", http.StatusServiceUnavailable)
	}
}

var pages = template.Must(template.New("").Parse(`
{{define "front"}}<!doctype html><meta charset="utf-8"><title>{{.Court.Name}}</title>
<h1>{{.Court.Name}}, {{.Court.Price}} an hour</h1><form method="post" action="/orders">
<input type="hidden" name="order" value="{{.Order}}"><select name="start">{{range .Slots}}
<option value="{{.Start.Format "2006-01-02T15:04:05Z07:00"}}">{{.Start.Format "2 January 15:04 MST"}}{{end}}</select>
<input name="first" placeholder="First name" required><input name="last" placeholder="Last name" required>
<input name="email" type="email" placeholder="E-mail" required><button>Book and pay</button></form>{{end}}
{{define "order"}}<!doctype html><meta charset="utf-8"><title>Order</title><h1>Your order: {{.}}</h1>{{end}}`))

func show(w http.ResponseWriter, page string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = pages.ExecuteTemplate(w, page, data) // The client may have disconnected.
}
