package main

import (
	"context"
	"database/sql"
	"log/slog"
	"strconv"

	"github.com/booking-platform/booking-platform/migrations"
	"github.com/booking-platform/booking-platform/webhook"
)

func newWebhook(ctx context.Context, db *sql.DB, secret string, log *slog.Logger) (*webhook.Receiver, error) {
	if _, err := migrations.Up(ctx, db, migrations.Webhook); err != nil {
		return nil, err
	}
	receiver, err := webhook.New(db, []string{secret}, webhook.Options{Logger: log})
	if err != nil {
		return nil, err
	}
	receiver.Handle("checkout.session.completed", orderPaid)
	receiver.Handle("checkout.session.async_payment_succeeded", orderPaid)
	return receiver, nil
}

// orderPaid runs in the transaction of the event's ledger row.
func orderPaid(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
	id, err := strconv.ParseInt(ev.Reference, 10, 64)
	if err != nil {
		return webhook.Ignored, nil // Another system's session.
	}
	if ev.PaymentStatus == "unpaid" {
		return webhook.Processed, nil // A delayed method: async_payment_succeeded follows.
	}
	return webhook.FromResult(tx.ExecContext(ctx, payOrderSQL, id))
}
