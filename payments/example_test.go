package payments_test

import (
	"context"
	"database/sql"
	"errors"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

// A service holds a slot, sends the customer to Stripe, and lets the webhook confirm it.
func Example() {
	db, err := sql.Open("postgres", os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	bookings, err := booking.New(db, booking.Options{})
	if err != nil {
		log.Fatal(err)
	}
	pay, err := payments.New(db, bookings, os.Getenv("STRIPE_SECRET_KEY"), "https://example.com", payments.Options{})
	if err != nil {
		log.Fatal(err)
	}
	receiver, err := webhook.New(db, []string{os.Getenv("STRIPE_WEBHOOK_SECRET")}, webhook.Options{})
	if err != nil {
		log.Fatal(err)
	}
	pay.Register(receiver)
	http.Handle("POST /webhook", receiver)

	// The background work: without it an early event stays unpaid, a hold that ended
	// keeps its Checkout Session, and no refund is made. All of it is safe on every
	// replica. The steps of bookings run beside these.
	go func() { log.Fatal(receiver.Run(context.Background())) }()
	go func() { log.Fatal(pay.Run(context.Background(), receiver)) }()

	http.HandleFunc("POST /book", func(w http.ResponseWriter, r *http.Request) {
		booked, err := pay.Book(r.Context(), booking.HoldRequest{
			Resource:       "meeting-room",
			Start:          time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC),
			Customer:       booking.Customer{FirstName: "Ada", LastName: "Lovelace", Email: "ada@example.com"},
			IdempotencyKey: r.Header.Get("Idempotency-Key"),
		})
		switch {
		case errors.Is(err, booking.ErrSlotTaken):
			http.Error(w, "this slot is taken", http.StatusConflict)
		case err != nil:
			http.Error(w, "please try again", http.StatusServiceUnavailable)
		default:
			// Stripe's page, or the booking's own when nothing is to pay.
			http.Redirect(w, r, booked.URL, http.StatusSeeOther)
		}
	})
}

// When Stripe cannot be asked, the hold is given back at once, so that the slot is not
// kept from the next customer.
func ExamplePayments_Abandon() {
	var pay *payments.Payments
	ctx, bookingID := context.Background(), "0193b3a0-0000-7000-8000-000000000000"

	checkout, err := pay.Checkout(ctx, bookingID)
	if errors.Is(err, payments.ErrUnavailable) {
		if err := pay.Abandon(ctx, bookingID); err != nil {
			log.Print(err)
		}
		return
	}
	log.Print(checkout.URL)
}
