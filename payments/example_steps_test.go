package payments_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

// The examples of steps share these, which a program makes once; see the example of New.
var (
	pay      *payments.Payments
	receiver *webhook.Receiver
)

// every runs a step at an interval until ctx ends, for programs with a scheduler of their
// own. Every step is safe on every replica at once.
func every(ctx context.Context, interval time.Duration, step func(context.Context) (int, error)) {
	for {
		if _, err := step(ctx); err != nil {
			log.Print(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(interval):
		}
	}
}

// One account and its key, an address to which customers return, and the hook for rows
// of the embedder's own.
func ExampleNew() {
	db, err := sql.Open("postgres", os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	bookings, err := booking.New(db, booking.Options{})
	if err != nil {
		log.Fatal(err)
	}
	pay, err = payments.New(db, bookings, os.Getenv("STRIPE_SECRET_KEY"), "https://example.com", payments.Options{
		OnTransition: writeMail,
		SuccessPath:  "/thanks",
	})
	if err != nil {
		log.Fatal(err)
	}
	receiver, err = webhook.New(db, []string{os.Getenv("STRIPE_WEBHOOK_SECRET")}, webhook.Options{})
	if err != nil {
		log.Fatal(err)
	}
	pay.Register(receiver)
}

// Run does all steps, beside those of the other packages, until the program ends.
func ExamplePayments_Run() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := pay.Run(ctx, receiver); err != nil {
		log.Fatal(err)
	}
}

// The order is stored first. Its id makes a repeat of the request harmless, and names the
// order in every transition.
func ExamplePayments_Book() {
	const order = "order-17"
	booked, err := pay.Book(context.Background(), booking.HoldRequest{
		Resource:       "meeting-room",
		Start:          time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC),
		Customer:       booking.Customer{FirstName: "Ada", LastName: "Lovelace", Email: "ada@example.com"},
		Reference:      order,
		IdempotencyKey: order,
	})
	switch {
	case errors.Is(err, booking.ErrSlotTaken):
		log.Print("another customer was faster")
	case errors.Is(err, payments.ErrUnavailable):
		log.Print("try again in ", payments.RetryAfter(err))
	case errors.Is(err, payments.ErrRefused):
		log.Print("an operator has to correct something: ", err)
	case err != nil:
		log.Print(err)
	default:
		log.Print("send the customer to ", booked.URL)
	}
}

// An order and its hold are committed together, and the Checkout follows.
func ExamplePayments_Checkout() {
	var db *sql.DB
	var bookings *booking.Store
	ctx := context.Background()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	held, err := bookings.Tx(tx).Hold(ctx, booking.HoldRequest{
		Resource: "meeting-room", Start: time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC),
		Customer: booking.Customer{FirstName: "Ada", LastName: "Lovelace", Email: "ada@example.com"},
	})
	if err != nil {
		log.Print(err)
		return
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO orders (booking_id) VALUES ($1)`, held.ID); err != nil {
		log.Print(err)
		return
	}
	if err := tx.Commit(); err != nil {
		log.Print(err)
		return
	}
	checkout, err := pay.Checkout(ctx, held.ID)
	if err != nil {
		log.Print(err)
		return
	}
	log.Print(checkout.URL)
}

// The page to which Stripe sends the customer after paying.
func ExamplePayments_RefreshSession() {
	http.HandleFunc("GET /success", func(w http.ResponseWriter, r *http.Request) {
		p, err := pay.RefreshSession(r.Context(), r.FormValue("session_id"))
		switch {
		case errors.Is(err, payments.ErrNotFound):
			http.NotFound(w, r)
		case p.Applied():
			fmt.Fprintln(w, "Thank you: your booking is confirmed.")
		case p.Status() == payments.StatusOpen || p.Status() == payments.StatusProcessing:
			fmt.Fprintln(w, "Your payment is on its way. Please reload this page.")
		default:
			fmt.Fprintln(w, "Your payment:", p.Status())
		}
	})
}

// One statement settles the plain events of a busy endpoint.
func ExamplePayments_RegisterBatch() {
	pay.Register(receiver)
	pay.RegisterBatch(receiver)
}

// What an operator has to look at, and a refund that is tried again.
func ExamplePayments_RetryRefund() {
	ctx := context.Background()
	refunds, err := pay.RefundsNeedingAttention(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range refunds {
		log.Print(r.ID, " ", r.Amount, " ", r.Status, " ", r.Failure, " ", r.LastError)
		if _, err := pay.RetryRefund(ctx, r.ID, "user:ada@example.com"); err != nil {
			log.Print(err)
		}
	}
}

// A refund that the bank returned was paid by transfer instead.
func ExamplePayments_RecordRefund() {
	const refundID = "0193b3a0-0000-7000-8000-000000000000"
	r, err := pay.RecordRefund(context.Background(), refundID,
		payments.Settlement{Cause: "bank transfer 42", Actor: "user:ada@example.com"})
	if err != nil {
		log.Fatal(err)
	}
	log.Print("returned: ", r.Amount)
}

// Alerts read counts and ages, of all replicas.
func ExamplePayments_Backlog() {
	b, err := pay.Backlog(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	if b.Overdue.Age > time.Hour || b.RefundsFailed.Count > 0 || b.Parked.Count > 0 {
		log.Print("look at: host payment list")
	}
}

// Every five seconds: sessions whose hold is gone can no longer be paid.
func ExamplePayments_ExpireSessions() {
	every(context.Background(), 5*time.Second, pay.ExpireSessions)
}

// Every five seconds: refunds that are due are made at Stripe.
func ExamplePayments_SettleRefunds() {
	every(context.Background(), 5*time.Second, pay.SettleRefunds)
}

// Every five seconds: refunds of which an event told only the sum are read.
func ExamplePayments_RefreshRefunds() {
	every(context.Background(), 5*time.Second, pay.RefreshRefunds)
}

// Every minute: payments that should have ended are looked up at Stripe.
func ExamplePayments_ReconcilePayments() {
	every(context.Background(), time.Minute, pay.ReconcilePayments)
}

// Every five minutes: events that Stripe could not deliver are processed.
func ExamplePayments_FetchUndelivered() {
	every(context.Background(), 5*time.Minute, func(ctx context.Context) (int, error) {
		return pay.FetchUndelivered(ctx, receiver)
	})
}

// Every fifteen minutes: refunds that were made at Stripe and had no event.
func ExamplePayments_DiscoverRefunds() {
	every(context.Background(), 15*time.Minute, pay.DiscoverRefunds)
}

// Every fifteen minutes: disputes that had no event.
func ExamplePayments_DiscoverDisputes() {
	every(context.Background(), 15*time.Minute, pay.DiscoverDisputes)
}

// Every hour: with Options.PersonalDataFor, customers of bookings that ended long ago are
// erased.
func ExamplePayments_ErasePast() {
	every(context.Background(), time.Hour, pay.ErasePast)
}

// A PaymentIntent that a page with the Payment Element made pays for a hold.
func ExamplePayments_Adopt() {
	p, err := pay.Adopt(context.Background(), "0193b3a0-0000-7000-8000-000000000000", "pi_3PAYMENTelement")
	if err != nil {
		log.Fatal(err)
	}
	log.Print(p.Status())
}

// A customer pays a held booking in cash.
func ExamplePayments_RecordDesk() {
	p, err := pay.RecordDesk(context.Background(), payments.DeskPayment{
		BookingID: "0193b3a0-0000-7000-8000-000000000000", Amount: booking.Money{Minor: 2500, Currency: "eur"},
		Method: "cash", Reference: "receipt 18", Actor: "user:ada@example.com",
	})
	if err != nil {
		log.Fatal(err)
	}
	log.Print(p.Captured)
}

// After a restore from a backup: events that were answered since it was made.
func ExamplePayments_FetchSince() {
	backup := time.Date(2026, 11, 30, 3, 0, 0, 0, time.UTC)
	err := pay.FetchSince(context.Background(), receiver, backup.Add(-time.Hour), payments.FetchSinceOptions{
		Each: func(e payments.FetchedEvent) {
			if e.Missing() {
				log.Print(e.ID, " ", e.Outcome)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
}
