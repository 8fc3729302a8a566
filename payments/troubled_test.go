package payments_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// What a person has to look at is what is parked and has money here, and what is
// contested; nothing else.
func TestTroubled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	w.paid(0)
	_, disputed := w.paid(1)
	_, err := w.stripe.Dispute(disputed.SessionID)
	require.NoError(t, err)
	b := w.hold(2)
	c := w.checkout(b)
	w.exec(`UPDATE booking_platform.payments SET amount_minor = amount_minor + 1 WHERE id = $1::uuid`, c.PaymentID)
	w.pay(c)
	ids := func() (ids []string) {
		troubled, err := w.payments.NeedingAttention(t.Context())
		require.NoError(t, err)
		for _, p := range troubled {
			ids = append(ids, p.ID)
		}
		return ids
	}
	// The stand-in does not wait for the events of disputes and refunds.
	await := func(want ...string) {
		t.Helper()
		require.NoError(t, w.stripe.WaitDelivered(t.Context()))
		require.Equal(t, want, ids())
	}
	await(c.PaymentID, disputed.ID)

	parked, err := w.payments.Get(t.Context(), c.PaymentID)
	require.NoError(t, err)
	require.Equal(t, payments.Parked, parked.Status())
	// Its money goes back: nothing is left to decide.
	w.refund(parked, 0, "case 7")
	await(disputed.ID)
	_, err = w.stripe.CloseDispute(disputed.SessionID, true)
	require.NoError(t, err)
	await()

	for _, id := range []string{"", "x", uuid.NewString()} {
		_, err = w.payments.Get(t.Context(), id)
		require.ErrorIs(t, err, payments.ErrNotFound)
		_, err = w.payments.RetryRefund(t.Context(), id, "")
		require.ErrorIs(t, err, payments.ErrNotFound)
	}
}

// A refund that waits is tried at once, one that failed has another in its place, once,
// and one that was made is left as it is.
func TestRetryRefund(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{stripe: stripetest.Options{PendingRefunds: true}})
	_, p := w.paid(0)
	due := w.refund(p, 500, "rain")
	w.exec(`UPDATE booking_platform.refunds SET next_try_at = statement_timestamp() + interval '1 hour'`)
	w.settle(0)
	same, err := w.payments.RetryRefund(t.Context(), due.ID, "operator")
	require.NoError(t, err)
	require.Equal(t, due.ID, same.ID)
	w.settle(1)

	made := w.refundsOf(p)[0]
	again, err := w.payments.RetryRefund(t.Context(), due.ID, "operator")
	require.NoError(t, err)
	require.Equal(t, made, again, "it is on its way")
	_, err = w.stripe.FailRefund(made.StripeID, "expired_or_canceled_card")
	require.NoError(t, err)
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	next, err := w.payments.RetryRefund(t.Context(), due.ID, "operator")
	require.NoError(t, err)
	require.Equal(t, payments.Refund{Cause: "retry:" + due.ID, Actor: "operator", Amount: due.Amount,
		Status: payments.RefundDue},
		payments.Refund{Cause: next.Cause, Actor: next.Actor, Amount: next.Amount, Status: next.Status})
	repeat, err := w.payments.RetryRefund(t.Context(), due.ID, "operator")
	require.NoError(t, err)
	require.Equal(t, next.ID, repeat.ID, "twice is once")
	w.settle(1)
	require.Len(t, w.refundsOf(p), 2)
	w.requireBooks()
}

// M16: a part was given back in the dashboard after ours of the whole had failed. A retry
// takes what is left, once, and of a retry that failed too another can be made.
func TestRetryRefund_TakesWhatIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{stripe: stripetest.Options{PendingRefunds: true}})
	_, p := w.paid(0)
	r := w.refund(p, 0, "rain")
	fail := func(id string) {
		w.settle(1)
		for _, r := range w.refundsOf(p) {
			if r.ID == id {
				_, err := w.stripe.FailRefund(r.StripeID, "")
				require.NoError(t, err)
			}
		}
		require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	}
	fail(r.ID)
	_, err := w.stripe.RefundFromDashboard(p.SessionID, 1000)
	require.NoError(t, err)
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	retry := func() payments.Refund {
		again, err := w.payments.RetryRefund(t.Context(), r.ID, "operator")
		require.NoError(t, err)
		require.EqualValues(t, price-1000, again.Amount.Minor)
		require.Equal(t, payments.RefundDue, again.Status)
		require.Equal(t, payments.OriginRetry, again.Origin)
		return again
	}
	first := retry()
	require.Equal(t, first.ID, retry().ID, "twice is once")
	fail(first.ID)
	second := retry()
	require.NotEqual(t, first.ID, second.ID)
	w.settle(1)
	require.Equal(t, payments.Refunded, w.payment(p.BookingID).Status())
	require.Zero(t, w.backlog().RefundsFailed)
	w.requireBooks()
}
