package pgtest_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/booking-platform/booking-platform/migrations"
	"github.com/booking-platform/booking-platform/pgtest"
	"github.com/booking-platform/booking-platform/webhook"
)

// A test of a service that uses the webhook only: its function TestMain is
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
func ExampleNew() {
	_ = func(t *testing.T) { // func TestOrderPaid(t *testing.T)
		t.Parallel()
		db := pgtest.New(t, migrations.Webhook)
		receiver, err := webhook.New(db, []string{"whsec_test"}, webhook.Options{})
		if err != nil {
			t.Fatal(err)
		}
		_ = receiver // Deliver an event, and look at the ledger.
	}
}

// The service's own migrations run once per test binary, after the sets.
func ExampleTemplate() {
	databases := &pgtest.Template{
		Sets: migrations.Payments,
		Migrate: func(ctx context.Context, db *sql.DB) error {
			_, err := db.ExecContext(ctx, `CREATE TABLE orders (
				id bigint PRIMARY KEY,
				booking_id uuid REFERENCES booking_platform.bookings (id))`)
			return err
		},
	}
	_ = func(t *testing.T) { // func TestOrders(t *testing.T)
		t.Parallel()
		db := databases.New(t)
		if _, err := db.ExecContext(t.Context(), `INSERT INTO orders (id) VALUES (17)`); err != nil {
			t.Fatal(err)
		}
	}
}
