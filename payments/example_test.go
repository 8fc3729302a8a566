package payments_test

import (
	"context"
	"database/sql"
	"errors"
	"log"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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

	// The background work of each package, safe on every replica.
	go func() { _ = bookings.Run(context.Background()) }()
	go func() { _ = receiver.Run(context.Background()) }()
	go func() { _ = pay.Run(context.Background(), receiver) }()

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
			// Stripe's page, or the booking's own if nothing is to be paid.
			http.Redirect(w, r, booked.URL, http.StatusSeeOther)
		}
	})
}

// When Stripe cannot be reached, the hold is released at once.
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

// The refund by the booking's policy is committed with the cancellation, and made by a
// step.
func ExamplePayments_Cancel() {
	var pay *payments.Payments
	ctx, bookingID := context.Background(), "0193b3a0-0000-7000-8000-000000000000"

	cancelled, err := pay.Cancel(booking.WithActor(ctx, "customer"),
		booking.CancelRequest{ID: bookingID, ByCustomer: true})
	if errors.Is(err, booking.ErrPolicy) {
		log.Print("it is too late to cancel")
		return
	}
	if err != nil {
		log.Fatal(err)
	}
	if cancelled.Refund != nil {
		log.Print("refund: ", cancelled.Refund)
	}
}

// Staff refund a part. The cause is the case's number: a repeat is not refunded twice.
func ExamplePayments_Refund() {
	var pay *payments.Payments
	ctx, paymentID := context.Background(), "0193b3a0-0000-7000-8000-000000000000"

	_, err := pay.Refund(ctx, payments.RefundRequest{
		PaymentID: paymentID, Amount: 1000, Cause: "case 4711", Reason: "the heating was off",
		Actor: "user:ada@example.com",
	})
	var tooLarge *payments.RefundTooLargeError
	switch {
	case errors.As(err, &tooLarge):
		log.Print("no more than ", tooLarge.Left, " is left")
	case errors.Is(err, payments.ErrNothingToRefund):
		log.Print("refunded in full already")
	case err != nil:
		log.Fatal(err)
	}
}

// The outbox is the embedder's own, with a row for each mail.
const mailOutboxSQL = `
CREATE TABLE mail_outbox (
	id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	address   text NOT NULL,
	template  text NOT NULL,
	booking   uuid NOT NULL,
	amount    bigint NOT NULL,
	currency  text NOT NULL,
	sent_at   timestamptz
)`

// writeMail is the hook: its row exists if and only if the transition was committed. It
// sends nothing.
func writeMail(ctx context.Context, tx payments.Tx, t payments.Transition) error {
	template := map[payments.TransitionKind]string{
		payments.TransitionPaid:      "invoice",
		payments.TransitionRefunded:  "credit-note",
		payments.TransitionUnapplied: "we-could-not-keep-your-slot",
		payments.TransitionCancelled: "cancelled",
	}[t.Kind]
	if template == "" {
		return nil
	}
	_,
		err := tx.ExecContext(ctx,
		`INSERT INTO mail_outbox (address, template, booking, amount, currency) VALUES ($1, $2, $3, $4, $5)`,
		t.Booking.Customer.Email, template, t.Booking.ID, t.Amount.Minor, t.Amount.Currency)
	return err
}

// sendMails is a step of the embedder's. A crash between mail and commit sends that mail
// again; none is lost.
func sendMails(ctx context.Context, db *sql.DB,
	send func(address, template string, amount booking.Money) error) (sent int, err error) {
	for {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return sent, err
		}
		// After a commit this does nothing.
		defer func() { _ = tx.Rollback() }()
		var address, template string
		var amount booking.Money
		err = tx.QueryRowContext(ctx, `
			UPDATE mail_outbox SET sent_at = now() WHERE id = (
				SELECT id FROM mail_outbox WHERE sent_at IS NULL ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
			RETURNING address, template, amount, currency`).Scan(&address, &template, &amount.Minor, &amount.Currency)
		if errors.Is(err, sql.ErrNoRows) {
			return sent, nil
		}
		if err != nil {
			return sent, err
		}
		if err := send(address, template, amount); err != nil {
			return sent, err
		}
		if err := tx.Commit(); err != nil {
			return sent, err
		}
		sent++
	}
}

// Mails and invoices are written in the transaction that changes a payment, and sent
// afterwards.
func ExampleTransition() {
	var db *sql.DB
	var bookings *booking.Store
	pay, err := payments.New(db, bookings, "sk_test_…", "https://example.com",
		payments.Options{OnTransition: writeMail})
	if err != nil {
		log.Fatal(err)
	}
	_ = pay
}

func TestExampleTransition_OneMailPerTransition(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{opts: payments.Options{OnTransition: writeMail}})
	w.exec(mailOutboxSQL)
	b := w.hold(0)
	w.pay(w.checkout(b))
	_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, Refund: new(int64(2000))})
	require.NoError(t, err)
	w.settle(1)
	w.resendAll()
	var mails []string
	send := func(address, template string, amount booking.Money) error {
		mails = append(mails, address+" "+template+" "+amount.String())
		return nil
	}
	for _, want := range []int{3, 0} {
		sent, err := sendMails(t.Context(), w.db, send)
		require.NoError(t, err)
		require.Equal(t, want, sent)
	}
	require.Equal(t, []string{
		"ada@example.com invoice 25.00 EUR", "ada@example.com cancelled 0.00 EUR",
		"ada@example.com credit-note 20.00 EUR",
	}, mails)
}
