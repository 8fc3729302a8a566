package webhook_test

import (
	"context"
	"database/sql"
	"errors"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/booking-platform/booking-platform/migrations"
	"github.com/booking-platform/booking-platform/webhook"
)

// A service with its own orders table. It created the Checkout Session with the order's
// number as client_reference_id.
func Example() {
	ctx := context.Background()
	db, err := sql.Open("postgres", os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := migrations.Up(ctx, db, migrations.Webhook); err != nil {
		log.Fatal(err)
	}
	stripe, err := webhook.New(db, []string{os.Getenv("STRIPE_WEBHOOK_SECRET")}, webhook.Options{})
	if err != nil {
		log.Fatal(err)
	}
	// The order's row and the event's ledger row are committed together, or neither is.
	paid := func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		if ev.PaymentStatus == "unpaid" {
			return webhook.Processed, nil // A delayed method: the second type of event follows.
		}
		// Reference is the client_reference_id of your Checkout Session.
		return webhook.FromResult(tx.ExecContext(ctx,
			`UPDATE orders SET status = 'paid' WHERE reference = $1`, ev.Reference))
	}
	stripe.Handle("checkout.session.completed", paid)
	stripe.Handle("checkout.session.async_payment_succeeded", paid)
	// Retries events that came before their order or whose handler failed, and deletes
	// old ones, until ctx ends. Safe on every replica.
	go func() { _ = stripe.Run(ctx) }()
	http.Handle("/webhook", stripe)
	log.Fatal(http.ListenAndServe(":8080", nil))
}

// A library that takes a *sql.Tx, such as COPY with lib/pq, River's InsertTx or an ORM,
// works in the event's transaction. Do not end it.
func ExampleTx() {
	var stripe *webhook.Receiver
	stripe.Handle("invoice.paid", func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		lines, err := tx.SQL().PrepareContext(ctx, `COPY invoice_lines (event, line) FROM STDIN`)
		if err != nil {
			return "", err
		}
		defer lines.Close()
		for n := range 2 {
			if _, err := lines.ExecContext(ctx, ev.ID, n); err != nil {
				return "", err
			}
		}
		if _, err := lines.ExecContext(ctx); err != nil { // Ends the COPY.
			return "", err
		}
		return webhook.Processed, nil
	})
}

// A queue consumer verifies the message, claims the event in its own transaction, does
// the work and commits. The message may be days old, and is acknowledged when consume
// returns nil.
func ExampleLedger_Claim() {
	consume := func(ctx context.Context, db *sql.DB, body []byte, signature string) error {
		ev, err := webhook.Verify(body, signature, []string{os.Getenv("STRIPE_WEBHOOK_SECRET")}, 72*time.Hour,
			time.Now())
		if rejected := (*webhook.RejectedError)(nil); errors.As(err, &rejected) {
			return nil // Not from Stripe, and never going to be.
		} else if err != nil {
			return err
		}
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		claimed, err := webhook.NewLedger(db, "").Claim(ctx, tx, ev, webhook.Processed)
		if err != nil || !claimed {
			return err // Not claimed: the event is settled.
		}
		if _, err := tx.ExecContext(ctx, `UPDATE orders SET status = 'paid' WHERE reference = $1`,
			ev.Reference); err != nil {
			return err
		}
		return tx.Commit()
	}
	_ = consume
}
