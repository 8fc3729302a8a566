package payments_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// The main ways of a payment are the same with events of a newer API version.
func TestEvents_NewerAPIVersion(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"2024-10-28.acacia", "2026-03-25.dahlia"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{stripe: stripetest.Options{APIVersion: version, BankDebit: true}})
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			delivered := func() { t.Helper(); require.NoError(t, w.stripe.WaitDelivered(ctx)) }
			status := func(b booking.Booking, want payments.Status, booked booking.Status) {
				t.Helper()
				delivered()
				require.Equal(t, want, w.payment(b.ID).Status())
				require.Equal(t, booked, w.status(b.ID))
			}

			paid := w.hold(0)
			c := w.checkout(paid)
			w.pay(c)
			status(paid, payments.StatusPaid, booking.StatusConfirmed)
			_, err := w.payments.Cancel(ctx, booking.CancelRequest{ID: paid.ID})
			require.NoError(t, err)
			_, err = w.payments.SettleRefunds(ctx)
			require.NoError(t, err)
			status(paid, payments.StatusRefunded, booking.StatusCancelled)
			// A bank refuses the refund days later.
			_, err = w.stripe.FailRefund(w.stripe.Refunds()[0].ID, "expired_or_canceled_card")
			require.NoError(t, err)
			delivered()
			require.Zero(t, w.payment(paid.ID).Refunded.Minor)

			delayed, failed := w.hold(1), w.hold(2)
			for b, end := range map[*booking.Booking]func(string) (stripetest.Session, error){
				&delayed: w.stripe.SettlePayment, &failed: w.stripe.FailPayment,
			} {
				c := w.checkout(*b)
				_, err = w.stripe.PayDelayed(ctx, c.SessionID)
				require.NoError(t, err)
				status(*b, payments.StatusProcessing, booking.StatusPending)
				_, err = end(c.SessionID)
				require.NoError(t, err)
			}
			status(delayed, payments.StatusPaid, booking.StatusConfirmed)
			status(failed, payments.StatusFailed, booking.StatusExpired)

			left := w.hold(3)
			_, err = w.stripe.Expire(w.checkout(left).SessionID)
			require.NoError(t, err)
			status(left, payments.StatusExpired, booking.StatusExpired)

			disputed := w.hold(4)
			c = w.checkout(disputed)
			w.pay(c)
			_, err = w.stripe.Dispute(c.SessionID)
			require.NoError(t, err)
			status(disputed, payments.StatusDisputed, booking.StatusConfirmed)
			_, err = w.stripe.CloseDispute(c.SessionID, false)
			require.NoError(t, err)
			status(disputed, payments.StatusDisputeLost, booking.StatusConfirmed)

			for outcome, n := range w.outcomes() {
				require.Regexp(t, " processed$", outcome, "%d times", n)
			}
			for _, e := range w.stripe.Events() {
				require.True(t, e.Delivered, e.Type)
			}
		})
	}
}
