package payments

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/webhook"
)

// arrival is one event about one payment, with its booking locked until the transaction
// ends. The payment was read before the lock: of it, only what never changes is to be
// used.
type arrival struct {
	tx       Tx
	bookings *booking.Tx
	event    webhook.Event
	session  checkoutSession
	payment  Payment
	booking  booking.Booking
}

// arrive locks the booking of a payment and lets the step decide.
func (p *Payments) arrive(
	ctx context.Context, tx webhook.Tx, ev webhook.Event, pay Payment,
	lock func(context.Context, string) (booking.Booking, error),
	step func(context.Context, arrival) (webhook.Outcome, error),
) (webhook.Outcome, error) {
	ctx = actingAs(ctx, "stripe:"+ev.ID)
	bookings := p.bookings.Tx(tx)
	b, err := lock(ctx, pay.BookingID)
	if err != nil {
		return "", fmt.Errorf("payments: lock the booking: %w", err)
	}
	webhook.Annotate(ctx, slog.String("booking_id", b.ID), slog.String("payment_id", pay.ID))
	var outcome webhook.Outcome
	err = p.watch(ctx, tx, b.ID, func() (err error) {
		outcome, err = step(ctx, arrival{tx: tx, bookings: bookings, event: ev, payment: pay, booking: b})
		return err
	})
	if err != nil {
		return "", fmt.Errorf("payments: %s: %w", ev.Type, err)
	}
	return outcome, nil
}

// actingAs names an actor where the caller has not.
func actingAs(ctx context.Context, actor string) context.Context {
	if booking.Actor(ctx) != "" {
		return ctx
	}
	return booking.WithActor(ctx, actor)
}
