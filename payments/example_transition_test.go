package payments_test

import (
	"context"
	"database/sql"
	"errors"
	"log"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// The outbox is the embedder's own table: a row for each mail that is to go out.
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

// writeMail is the hook: it writes the row and sends nothing. The row is there if and
// only if what it tells of has happened.
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

// sendMails is a step of the embedder's, run every few seconds: what it sends has been
// committed. A crash between the mail and the commit sends that mail again, and none is
// lost.
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

// An embedder writes the mails and invoices that belong to a payment in the transaction
// that changes it, and sends them afterwards.
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

// The example, run: one mail for each thing that happened.
func TestOutboxOfTheExample(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{opts: payments.Options{OnTransition: writeMail}})
	w.exec(mailOutboxSQL)
	b := w.hold(0)
	w.pay(w.checkout(b))
	_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, Refund: new(int64(2000))})
	require.NoError(t, err)
	w.settle(1)
	w.all()
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
