package faults_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
)

// Their sum is never above what was paid.
func TestRefund_Concurrent(t *testing.T) {
	t.Parallel()
	w := newEnv(t, setup{})
	_, p := w.paid(0)
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			_, err := w.hosts[i%3].payments.Refund(t.Context(),
				payments.RefundRequest{PaymentID: p.ID, Amount: 300, Cause: fmt.Sprint("case ", i)})
			var tooLarge *payments.RefundTooLargeError
			switch {
			case errors.As(err, &tooLarge):
				w.faultOccurred(1)
			case err != nil:
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.Equal(t, 32-price/300, w.fired, "the others were refused")
	// All hosts settle concurrently, and each refund is made once.
	w.settle()
	require.Equal(t, stripetest.Money{Captured: price, Refunded: price / 300 * 300}, w.stripe.Balance()["eur"])
	w.checkInvariants()
}

// The failure is visible.
func TestRefund_Fails(t *testing.T) {
	t.Parallel()
	for name, pending := range map[string]int{"after it succeeded": 0, "while it was pending": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newEnv(t, setup{})
			b, p := w.paid(0)
			w.stripe.MakeRefundsPending(pending)
			ask := func(cause string) {
				_, err := w.hosts[0].payments.Refund(t.Context(), payments.RefundRequest{PaymentID: p.ID, Cause: cause})
				require.NoError(t, err)
				w.settle()
				require.Equal(t, payments.StatusRefunded, w.payment(b).Status())
			}
			ask("case 1")
			_, err := w.stripe.FailRefund(w.refunds(p)[0].StripeID, "expired_or_canceled_card")
			require.NoError(t, err)
			w.settle()
			require.Equal(t, payments.StatusPaid, w.payment(b).Status(), "the refund is counted as failed")
			troubled, err := w.hosts[1].payments.RefundsNeedingAttention(t.Context())
			require.NoError(t, err)
			require.Len(t, troubled, 1)
			require.Equal(t, "expired_or_canceled_card", troubled[0].Failure)
			w.faultOccurred(len(troubled))
			w.checkInvariants()
			ask("refund once more")
			w.checkInvariants()
		})
	}
}

// The stand-in sends the event first and answers later: one refund row, settled.
func TestRefund_EventBeforeAnswer(t *testing.T) {
	t.Parallel()
	var w *testEnv
	w = newEnv(t, setup{stripe: stripetest.Options{OnRefund: func(r stripetest.Refund) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := w.stripe.WaitDelivered(ctx); err != nil {
			t.Error(err)
			return
		}
		var early int
		err := w.db.QueryRowContext(ctx, `SELECT count(*) FROM booking_platform.payment_events e
			WHERE e.type = 'refund.created' AND e.outcome = $1 AND e.object_id = $2`, string(webhook.Processed),
			r.ID).Scan(&early)
		if err != nil {
			t.Error(err)
		}
		w.faultOccurred(early)
	}}})
	b, p := w.paid(0)
	_, err := w.hosts[0].payments.Refund(t.Context(), payments.RefundRequest{PaymentID: p.ID, Cause: "case 1"})
	require.NoError(t, err)
	made, err := w.hosts[0].payments.SettleRefunds(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, made)
	require.Len(t, w.refunds(p), 1)
	require.Equal(t, payments.RefundSucceeded, w.refunds(p)[0].Status)
	require.Equal(t, payments.StatusRefunded, w.payment(b).Status())
	w.checkInvariants()
}
