package payments_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// M8: Neither an operator's refund, nor a retry, nor an earlier due one.
func TestRefund_WhileDisputed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	_, p := w.paid(0)
	due := w.refund(p, 1000, "case 1")
	w.exec(`UPDATE booking_platform.refunds SET created_at = statement_timestamp() - interval '1 day', tries = 3`)
	require.Equal(t, 1, w.backlog().RefundsStuck.Count)
	w.dispute(p, "dp_1", "created", "needs_response", price)
	w.settle(0)
	require.Zero(t, w.backlog().RefundsDue, "it waits for the dispute, not for a step")
	require.Zero(t, w.backlog().RefundsStuck)
	attention, err := w.payments.RefundsNeedingAttention(t.Context())
	require.NoError(t, err)
	require.Empty(t, attention)
	_, err = w.payments.Refund(t.Context(), payments.RefundRequest{PaymentID: p.ID, Amount: 500, Cause: "case 2"})
	require.ErrorIs(t, err, payments.ErrDisputed)
	same, err := w.payments.Refund(t.Context(), payments.RefundRequest{PaymentID: p.ID, Amount: 1000, Cause: "case 1"})
	require.NoError(t, err)
	require.Equal(t, due.ID, same.ID, "it was requested before")
	_, err = w.payments.RetryRefund(t.Context(), due.ID, "operator")
	require.ErrorIs(t, err, payments.ErrDisputed)
	w.settle(0)

	w.exec(`UPDATE booking_platform.refunds SET tries = 0`)
	w.dispute(p, "dp_1", "closed", "won", price)
	w.settle(1)
	require.EqualValues(t, 1000, w.stripe.Balance()["eur"].Refunded)
	w.requireBooks()
}

// Due refunds are reduced to what is left, or given up.
func TestRefund_DueWhenDisputeIsLost(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		lost, want int64
		status     payments.RefundStatus
		cancelled  bool
		tried      bool
	}{
		"a part":                         {1000, price - 1000, payments.RefundSucceeded, true, false},
		"a part, requested by staff":     {1000, price - 1000, payments.RefundSucceeded, false, false},
		"a part, tried before":           {1000, price - 1000, payments.RefundSucceeded, true, true},
		"all":                            {0, 0, payments.RefundCanceled, true, false},
		"all, requested by staff":        {0, 0, payments.RefundCanceled, false, false},
		"all, tried before and not made": {0, 0, payments.RefundCanceled, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{})
			b, p := w.paid(0)
			if test.cancelled {
				_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID})
				require.NoError(t, err)
			} else {
				w.refund(p, 0, "case 1")
			}
			if test.tried {
				w.exec(`UPDATE booking_platform.refunds SET tries = 1, first_called_at = statement_timestamp()`)
			}
			_, err := w.stripe.OpenDispute(p.SessionID, stripetest.NewDispute{Amount: test.lost})
			require.NoError(t, err)
			_, err = w.stripe.CloseDispute(p.SessionID, false)
			require.NoError(t, err)
			w.delivered()
			made, err := w.payments.SettleRefunds(t.Context())
			require.NoError(t, err)
			require.Equal(t, test.want > 0, made == 1)
			w.delivered()
			r := w.refundsOf(p)
			require.Len(t, r, 1)
			require.Equal(t, test.status, r[0].Status)
			require.EqualValues(t, test.want, w.stripe.Balance()["eur"].Refunded)
			if test.want == 0 {
				require.Equal(t, payments.FailureDisputeLost, r[0].Failure)
			} else {
				require.Equal(t, test.want, r[0].Amount.Minor)
			}
			_, err = w.payments.RefreshRefunds(t.Context())
			require.NoError(t, err)
			require.Zero(t, w.backlog())
			_, err = w.payments.Refund(t.Context(), payments.RefundRequest{PaymentID: p.ID, Cause: "case 9"})
			require.ErrorIs(t, err, payments.ErrNothingToRefund)
			w.requireBooks()
		})
	}
}

// M8: Half was due and a dispute took as much: nothing needs attention although half is
// still here, and a retry refunds nothing. The same holds for a replacement of a failed
// refund.
func TestRefund_NothingDueAfterDispute(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"due", "failed", "failed and retried"} {
		w := newWorld(t, setup{})
		w.halfAfter(300 * time.Hour)
		b, p := w.paid(0)
		_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, ByCustomer: true})
		require.NoError(t, err)
		if way != "due" {
			w.settle(1)
			_, err = w.stripe.FailRefund(w.refundsOf(p)[0].StripeID, "lost_or_stolen_card")
			require.NoError(t, err)
			w.delivered()
			require.Equal(t, 1, w.backlog().RefundsFailed.Count)
		}
		if way == "failed and retried" {
			_, err = w.payments.RetryRefund(t.Context(), w.refundsOf(p)[0].ID, "operator")
			require.NoError(t, err)
		}
		_, err = w.stripe.OpenDispute(p.SessionID, stripetest.NewDispute{Amount: price / 2})
		require.NoError(t, err)
		w.delivered()
		require.Zero(t, w.backlog().RefundsFailed, "staff must not pay it in another way meanwhile")
		_, err = w.stripe.CloseDispute(p.SessionID, false)
		require.NoError(t, err)
		w.delivered()
		w.settle(0)
		require.Zero(t, w.backlog().RefundsFailed, way)
		refunds := w.refundsOf(p)
		last := refunds[len(refunds)-1]
		if way != "failed" {
			require.Equal(t, payments.RefundCanceled, last.Status)
			require.Equal(t, payments.FailureDisputeLost, last.Failure)
		}
		if way == "failed" {
			_, err = w.payments.RetryRefund(t.Context(), last.ID, "operator")
			require.NoError(t, err)
			w.settle(0)
			refunds = w.refundsOf(p)
			last = refunds[len(refunds)-1]
			require.Equal(t, payments.FailureDisputeLost, last.Failure)
		}
		_, err = w.payments.RetryRefund(t.Context(), last.ID, "operator")
		require.ErrorIs(t, err, payments.ErrNothingToRefund)
		attention, err := w.payments.RefundsNeedingAttention(t.Context())
		require.NoError(t, err)
		require.Empty(t, attention, way)
		require.Zero(t, w.backlog().RefundsFailed, way)
		require.EqualValues(t, 0, w.stripe.Balance()["eur"].Refunded)
	}
}

// A refund whose response was lost was made before the dispute, and keeps its amount.
func TestRefund_MadeBeforeDisputeIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	_, p := w.paid(0)
	due := w.refund(p, 1500, "case 1")
	w.settle(1)
	_, err := w.stripe.Dispute(p.SessionID)
	require.NoError(t, err)
	_, err = w.stripe.CloseDispute(p.SessionID, false)
	require.NoError(t, err)
	w.delivered()
	// As after a crash: the row was not updated.
	w.exec(`UPDATE booking_platform.refunds
		SET status = 'due', stripe_refund_id = NULL, next_try_at = statement_timestamp()`)
	_, err = w.payments.SettleRefunds(t.Context())
	require.NoError(t, err)
	r := w.refundsOf(p)
	require.Len(t, r, 1)
	require.Equal(t, due.ID, r[0].ID)
	require.Equal(t, payments.RefundSucceeded, r[0].Status)
	require.EqualValues(t, 1500, r[0].Amount.Minor)
	w.requireBooks()
}

// Stripe keeps refusing the rest of a payment of which a lost dispute took a part: the
// refund fails, for staff to pay it in another way. While no lost dispute is known, one
// that is open may be found, and the refund waits.
func TestSettleRefunds_DisputedAfterLoss(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]bool{"a part was lost": true, "no dispute is known": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			between := &interceptor{match: refundCalls, keys: map[string]int{}}
			between.set(&stripeAnswer{status: 400, kind: "invalid_request_error", code: "charge_disputed"})
			w := newWorld(t, setup{wrap: between.wrap})
			b, p := w.paid(0)
			_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID})
			require.NoError(t, err)
			if lost {
				_, err = w.stripe.OpenDispute(p.SessionID, stripetest.NewDispute{Amount: 1000})
				require.NoError(t, err)
				_, err = w.stripe.CloseDispute(p.SessionID, false)
				require.NoError(t, err)
				w.delivered()
			}
			tries := 0
			for w.refundsOf(p)[0].Status == payments.RefundDue && tries < 20 {
				if tries == 12 {
					require.Equal(t, 1, w.backlog().RefundsStuck.Count)
				}
				_ = w.tryRefunds()
				tries++
			}
			refund := w.refundsOf(p)[0]
			if !lost {
				require.Equal(t, payments.RefundDue, refund.Status)
				require.Equal(t, "charge_disputed", refund.LastError)
				return
			}
			require.Equal(t, payments.LostTries, tries)
			require.Equal(t, payments.RefundFailed, refund.Status)
			require.Equal(t, "charge_disputed", refund.Failure)
			require.EqualValues(t, price-1000, refund.Amount.Minor)
			require.Equal(t, 1, w.backlog().RefundsFailed.Count)
			require.Zero(t, w.backlog().RefundsDue)

			between.set(nil)
			_, err = w.payments.RetryRefund(t.Context(), refund.ID, "operator")
			require.NoError(t, err)
			w.settle(1)
			_, err = w.payments.RefreshRefunds(t.Context())
			require.NoError(t, err)
			require.Zero(t, w.backlog())
			require.EqualValues(t, price-1000, w.stripe.Balance()["eur"].Refunded)
			w.requireBooks()
		})
	}
}
