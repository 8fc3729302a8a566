package customers_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"net/http"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/customers"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

// The examples are compiled but not run: they have no database.
var (
	db       *sql.DB
	bookings *booking.Store
	pay      *payments.Payments
	people   *customers.Customers
	ctx      = context.Background()
)

// With Erased, an event that arrives after the erasure is stored without the customer.
func ExampleNew() {
	receiver, err := webhook.New(db, []string{"whsec_…"}, webhook.Options{Erased: pay.IsErased})
	if err != nil {
		log.Fatal(err)
	}
	pay.Register(receiver)
	people, err = customers.New(customers.Parts{
		Bookings: bookings, Payments: pay, Ledgers: []*webhook.Ledger{receiver.Ledger()},
	}, customers.Options{})
	if err != nil {
		log.Fatal(err)
	}
}

// The program's own row is erased last: a repetition after a crash finds the address.
func ExampleCustomers_Erase() {
	report, err := people.Erase(ctx, "ada@example.com", customers.EraseOptions{})
	if errors.Is(err, customers.ErrNotYet) {
		for _, n := range report.NotYet {
			fmt.Println(n.BookingID, n.PaymentID, n.Reason)
		}
		return
	}
	if err != nil {
		log.Fatal(err)
	}
	const eraseUserSQL = `UPDATE users SET email = 'erased-' || id, name = '' WHERE email = $1`
	if _, err := db.ExecContext(ctx, eraseUserSQL, "ada@example.com"); err != nil {
		log.Fatal(err)
	}
}

// The document is written while it is read, so keep it until Export has returned.
func ExampleCustomers_Export() {
	http.HandleFunc("GET /me/data", func(w http.ResponseWriter, r *http.Request) {
		var document bytes.Buffer
		if err := people.Export(r.Context(), &document, "ada@example.com"); err != nil {
			http.Error(w, "try again", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = document.WriteTo(w)
	})
}

// A customer who names a booking only.
func ExampleCustomers_Email() {
	email, err := people.Email(ctx, "019a2b3c-0000-7000-8000-000000000000")
	if errors.Is(err, customers.ErrUnknown) {
		fmt.Println("the customer was erased")
	} else if err == nil {
		fmt.Println(email)
	}
}
