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

// Operators of three hosts record a failed refund as paid by hand, and retry it, at once,
// while every event comes again: the customer gets the money once, by hand or by Stripe.
func TestRefund_PaidByHandBesideRetry(t *testing.T) {
	t.Parallel()
	for name, retries := range map[string]int{"recorded": 0, "or retried": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newEnv(t, setup{})
			b, p := w.paid(0)
			_, err := w.hosts[0].payments.Refund(t.Context(), payments.RefundRequest{PaymentID: p.ID, Cause: "case 1"})
			require.NoError(t, err)
			w.settle()
			failed := w.refunds(p)[0]
			_, err = w.stripe.FailRefund(failed.StripeID, "expired_or_canceled_card")
			require.NoError(t, err)
			w.settle()
			require.Equal(t, payments.StatusPaid, w.payment(b).Status())
			var all sync.WaitGroup
			for i := range 3 {
				all.Go(func() {
					_, err := w.hosts[i].payments.RecordRefund(t.Context(), failed.ID,
						payments.Settlement{Cause: "bank transfer", Actor: "operator"})
					if err != nil && (retries == 0 || !errors.Is(err, payments.ErrNotFailed)) {
						t.Error(err)
					}
				})
				if i < retries {
					all.Go(func() {
						if _, err := w.hosts[i].payments.RetryRefund(t.Context(), failed.ID, "operator"); err != nil {
							t.Error(err)
						}
					})
				}
				for _, e := range w.stripe.Events() {
					all.Go(func() { w.deliver(i, e.Payload) })
				}
			}
			all.Wait()
			w.settle()
			_, err = w.hosts[0].payments.RecordRefund(t.Context(), failed.ID, payments.Settlement{Cause: "once more"})
			if err != nil {
				require.ErrorIs(t, err, payments.ErrNotFailed, "it was retried")
			}
			w.settle()
			refunds := w.refunds(p)
			require.Len(t, refunds, 2)
			require.Equal(t, payments.RefundSucceeded, refunds[1].Status)
			require.Equal(t, refunds[1].ByHand, refunds[1].StripeID == "")
			require.True(t, refunds[1].ByHand || retries > 0)
			require.Equal(t, payments.StatusRefunded, w.payment(b).Status())
			w.faultOccurred(1)
			w.checkInvariants()
		})
	}
}
