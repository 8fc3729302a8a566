package stripetest_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

func TestAPendingRefundIsSettled(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	sess := s.paid(t)
	s.MakeRefundsPending(1)
	made, err := s.refunds().New(of(sess, 2000))
	require.NoError(t, err)
	require.Equal(t, stripe.RefundStatusPending, made.Status)
	require.Equal(t, stripetest.Money{Captured: 2500, Pending: 2000}, s.Balance()["eur"])
	require.EqualValues(t, 2000, s.Charges()[0].AmountRefunded, "a pending refund is not refundable twice")
	require.Equal(t, []string{"refund.created", "charge.refunded"}, s.types(1))

	settled, err := s.SettleRefund(made.ID)
	require.NoError(t, err)
	require.Equal(t, stripetest.RefundSucceeded, settled.Status)
	require.Equal(t, []string{"refund.updated", "charge.refund.updated"}, s.types(3))
	require.Equal(t, made.ID, s.Events()[4].ObjectID)
	require.Equal(t, sess.ID, s.Events()[4].SessionID)
	require.Equal(t, stripetest.Money{Captured: 2500, Refunded: 2000}, s.Balance()["eur"])
	_, err = s.SettleRefund(made.ID)
	require.ErrorIs(t, err, stripetest.ErrNotPending)
	_, err = s.SettleRefund("re_none")
	require.ErrorIs(t, err, stripetest.ErrNotFound)

	next, err := s.refunds().New(of(sess, 500))
	require.NoError(t, err)
	require.Equal(t, stripe.RefundStatusSucceeded, next.Status, "one was to be pending")
}

// M18: a refund that requires an action of its customer can be canceled; its amount is
// then refundable again.
func TestRefund_RequiresActionIsCanceled(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	sess := s.paid(t)
	s.MakeRefundsRequireAction(1)
	made, err := s.refunds().New(of(sess, 2000))
	require.NoError(t, err)
	require.Equal(t, stripe.RefundStatusRequiresAction, made.Status)
	require.Equal(t, stripetest.Money{Captured: 2500, Pending: 2000}, s.Balance()["eur"])
	canceled, err := s.CancelRefund(made.ID)
	require.NoError(t, err)
	require.Equal(t, stripetest.RefundCanceled, canceled.Status)
	require.Equal(t, stripetest.Money{Captured: 2500}, s.Balance()["eur"])
	require.Zero(t, s.Charges()[0].AmountRefunded)
}

// What failed can be refunded again: a pending one, one that had succeeded, and
// one that was canceled.
func TestAFailedRefundGivesItsAmountBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pending bool
		end     func(*stripetest.Server, string) (stripetest.Refund, error)
		status  stripe.RefundStatus
		reason  stripe.RefundFailureReason
	}{
		"pending": {true, func(s *stripetest.Server, id string) (stripetest.Refund, error) {
			return s.FailRefund(id, "expired_or_canceled_card")
		}, stripe.RefundStatusFailed, stripe.RefundFailureReasonExpiredOrCanceledCard},
		"succeeded": {false, func(s *stripetest.Server,
			id string) (stripetest.Refund, error) {
			return s.FailRefund(id, "")
		},
			stripe.RefundStatusFailed, stripe.RefundFailureReasonUnknown},
		"canceled": {true, (*stripetest.Server).CancelRefund, stripe.RefundStatusCanceled, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, stripetest.Options{PendingRefunds: c.pending})
			sess := s.paid(t)
			made, err := s.refunds().New(of(sess, 0))
			require.NoError(t, err)
			_, err = c.end(s.Server, made.ID)
			require.NoError(t, err)
			got, err := s.refunds().Get(made.ID, nil)
			require.NoError(t, err)
			require.Equal(t, c.status, got.Status)
			require.Equal(t, c.reason, got.FailureReason)
			ch, err := s.charges().Get(got.Charge.ID, nil)
			require.NoError(t, err)
			require.Zero(t, ch.AmountRefunded)
			require.False(t, ch.Refunded)
			require.Equal(t, []string{"refund.updated", "charge.refund.updated"}, s.types(3))
			require.Equal(t, stripetest.Money{Captured: 2500}, s.Balance()["eur"])
			_, err = c.end(s.Server, made.ID)
			require.ErrorIs(t, err, stripetest.ErrNotPending)

			_, err = s.refunds().New(of(sess, 0))
			require.NoError(t, err)
		})
	}
}
