package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

// The service's own tables, in its own schema.
const tablesSQL = `
CREATE SCHEMA IF NOT EXISTS club;
CREATE TABLE IF NOT EXISTS club.lessons (
	id         text PRIMARY KEY,
	booking_id uuid NOT NULL REFERENCES booking_platform.bookings (id),
	status     text NOT NULL
);
CREATE TABLE IF NOT EXISTS club.warnings (
	id     text PRIMARY KEY,
	charge text NOT NULL
)`

// A trial costs nothing and is confirmed at once; a lesson is paid.
var (
	trial = booking.Resource{
		Slug: "trial", Name: "Trial lesson", TimeZone: "Europe/Paris", SlotLength: time.Hour,
		Price: booking.Money{Currency: "eur"},
	}
	lesson = booking.Resource{
		Slug: "lesson", Name: "Lesson", TimeZone: "Europe/Paris", SlotLength: time.Hour,
		Price: booking.Money{Minor: 4000, Currency: "eur"},
	}
)

// book holds a slot, confirms it if it is free of charge, stores the lesson and enqueues
// its mail, in one transaction. The id comes from the form, so that one sent twice has
// one effect.
func (s *service) book(ctx context.Context, id, slug string, start time.Time, c booking.Customer) (booking.Booking, error) {
	var b booking.Booking
	err := s.bookings.InTx(ctx, func(tx *sql.Tx, bookings *booking.Tx) (err error) {
		b, err = bookings.Hold(ctx, booking.HoldRequest{
			Resource: slug, Start: start, Customer: c, Reference: id, IdempotencyKey: id,
		})
		if err != nil {
			return err
		}
		status := "held"
		if b.Amount.Minor == 0 {
			status = "confirmed"
		}
		if b.Status == booking.StatusPending && status == "confirmed" {
			if b, err = bookings.Confirm(ctx, b.ID); err != nil {
				return err
			}
		}
		res, err := tx.ExecContext(ctx, `INSERT INTO club.lessons (id, booking_id, status) VALUES ($1, $2::uuid, $3)
			ON CONFLICT (id) DO NOTHING`, id, b.ID, status)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); n == 0 || err != nil {
			return err // A repeat: the first request enqueued the mail.
		}
		_, err = s.queue.InsertTx(ctx, tx, mail{About: "lesson", ID: id, Template: status}, nil)
		return err
	})
	return b, err
}

// onTransition runs in the payment's transaction: the lesson's row and the mail are
// committed with it.
func (s *service) onTransition(ctx context.Context, tx payments.Tx, t payments.Transition) error {
	var status string
	switch t.Kind {
	case payments.TransitionPaid:
		status = "paid"
	case payments.TransitionRefunded:
		status = "refunded"
	default:
		return nil
	}
	if _, err := tx.ExecContext(ctx, `UPDATE club.lessons SET status = $2 WHERE id = $1`, t.Booking.Reference,
		status); err != nil {
		return err
	}
	_, err := s.queue.InsertTx(ctx, tx.SQL(), mail{About: "lesson", ID: t.Booking.Reference, Template: status}, nil)
	return err
}

// fraudWarning handles an event that package payments does not. The warning, its mail and
// the ledger row are committed together.
func (s *service) fraudWarning(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
	var warning struct{ ID, Charge string }
	if json.Unmarshal(ev.Object, &warning) != nil || warning.ID == "" {
		return webhook.Ignored, nil
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO club.warnings (id, charge) VALUES ($1, $2)`, warning.ID,
		warning.Charge); err != nil {
		return "", err
	}
	_, err := s.queue.InsertTx(ctx, tx.SQL(), mail{About: "warning", ID: warning.ID, Template: "review"}, nil)
	return webhook.Processed, err
}

func (s *service) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("POST /webhook", s.receiver)
	mux.HandleFunc("POST /lessons", s.postLesson)
	mux.HandleFunc("GET /success", s.getSuccess)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "POST /lessons with id, resource (trial or lesson), start, first, last and email\n")
	})
	return mux
}

// Stripe is called after the commit: no transaction waits for the network.
func (s *service) postLesson(w http.ResponseWriter, r *http.Request) {
	start, err := time.Parse(time.RFC3339, r.PostFormValue("start"))
	if err != nil || r.PostFormValue("id") == "" {
		http.Error(w, "id and start are required", http.StatusBadRequest)
		return
	}
	b, err := s.book(r.Context(), r.PostFormValue("id"), r.PostFormValue("resource"), start, booking.Customer{
		FirstName: r.PostFormValue("first"), LastName: r.PostFormValue("last"), Email: r.PostFormValue("email"),
	})
	var invalid *booking.ValidationError
	switch {
	case errors.As(err, &invalid):
		http.Error(w, invalid.Error(), http.StatusUnprocessableEntity)
		return
	case errors.Is(err, booking.ErrSlotTaken):
		http.Error(w, "this time has just been booked", http.StatusConflict)
		return
	case err != nil:
		slog.ErrorContext(r.Context(), "book a lesson", "error", err)
		http.Error(w, "not booked", http.StatusInternalServerError)
		return
	case b.Status != booking.StatusPending:
		_, _ = fmt.Fprintln(w, "booked")
		return
	}
	checkout, err := s.payments.Checkout(r.Context(), b.ID)
	if err != nil {
		http.Error(w, "held; please try again to pay", http.StatusServiceUnavailable)
		return
	}
	http.Redirect(w, r, checkout.URL, http.StatusSeeOther)
}

func (s *service) getSuccess(w http.ResponseWriter, r *http.Request) {
	p, err := s.payments.RefreshSession(r.Context(), r.FormValue("session_id"))
	if err != nil {
		http.Error(w, "no such payment, or not known yet", http.StatusNotFound)
		return
	}
	_, _ = fmt.Fprintln(w, "your lesson:", p.Status())
}
