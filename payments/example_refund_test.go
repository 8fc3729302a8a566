package payments_test

import (
	"context"
	"errors"
	"log"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// A customer cancels. What the booking's policy gives back is committed to together with
// the cancellation, and goes back by a step.
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
		log.Print(cancelled.Refund, " goes back")
	}
}

// Staff give a part of the money back. The cause is the number of the case: asked for
// twice, it goes back once.
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
		log.Print("all of it has gone back")
	case err != nil:
		log.Fatal(err)
	}
}

// The steps that are cheap with nothing to do run every few seconds. The others, which
// list at Stripe, have a pace of their own: see the package comment.
func ExamplePayments_SettleRefunds() {
	var pay *payments.Payments
	ctx := context.Background()
	for range time.Tick(5 * time.Second) {
		for _, step := range []func(context.Context) (int, error){pay.ExpireSessions, pay.SettleRefunds,
			pay.RefreshRefunds} {
			if _, err := step(ctx); err != nil {
				log.Print(err)
			}
		}
	}
}
