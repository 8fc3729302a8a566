package api_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/booking-platform/booking-platform/api"
	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

func TestMain(m *testing.M) { testdb.Main(m) }

const baseURL = "https://example.com/booking"

// deps returns the packages on a database with one resource. Stripe is not called.
func deps(db *sql.DB) api.Deps {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	secret := "0123456789abcdef0123456789abcdef"
	bookings, err := booking.New(db, booking.Options{OwnerSecrets: []string{secret}})
	must(err)
	_, err = bookings.CreateResource(context.Background(), booking.Resource{
		Slug: "court", Name: "Tennis court", TimeZone: "Europe/Paris", SlotLength: time.Hour,
		Price: booking.Money{Currency: "eur"}, // Free of charge.
	})
	must(err)
	pay, err := payments.New(db, bookings, "sk_test_example", baseURL, payments.Options{})
	must(err)
	receiver, err := webhook.New(db, []string{"whsec_example"}, webhook.Options{})
	must(err)
	pay.Register(receiver)
	users, err := auth.New(db, []string{secret}, auth.Options{LoginPath: "/booking/login"})
	must(err)
	return api.Deps{Bookings: bookings, Payments: pay, Receiver: receiver, Auth: users}
}
