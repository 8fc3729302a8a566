package stripetest_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

func TestADelayedPaymentSucceeds(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	sess, err := s.PayDelayed(within(t), s.create(t).ID)
	require.NoError(t, err)
	require.Equal(t, stripetest.Complete, sess.Status)
	require.Equal(t, stripetest.Unpaid, sess.PaymentStatus)
	var told struct {
		Data struct{ Object stripe.CheckoutSession }
	}
	require.NoError(t, json.Unmarshal(s.Events()[0].Payload, &told))
	require.Equal(t, stripe.CheckoutSessionPaymentStatusUnpaid, told.Data.Object.PaymentStatus)
	require.Equal(t, sess.PaymentIntentID, told.Data.Object.PaymentIntent.ID)
	intent, err := s.intents().Get(sess.PaymentIntentID, nil)
	require.NoError(t, err)
	require.Equal(t, stripe.PaymentIntentStatusProcessing, intent.Status)
	require.Zero(t, intent.AmountReceived)
	require.Equal(t, stripetest.ChargePending, s.Charges()[0].Status)
	require.Empty(t, s.Balance())
	_, err = s.refunds().New(of(sess, 0))
	require.Contains(t, stripeError(t, err).Msg, "does not have a successful charge to refund")
	_, err = s.Dispute(sess.ID)
	require.ErrorContains(t, err, "cannot be disputed")

	sess, err = s.SettlePayment(sess.ID)
	require.NoError(t, err)
	require.Equal(t, stripetest.Paid, sess.PaymentStatus)
	require.Equal(t, []string{"checkout.session.completed", "checkout.session.async_payment_succeeded"}, s.types(0))
	require.Equal(t, stripetest.Money{Captured: 2500}, s.Balance()["eur"])
	intent, err = s.intents().Get(sess.PaymentIntentID, nil)
	require.NoError(t, err)
	require.Equal(t, stripe.PaymentIntentStatusSucceeded, intent.Status)
	_, err = s.refunds().New(of(sess, 0))
	require.NoError(t, err)
	_, err = s.FailPayment(sess.ID)
	require.ErrorIs(t, err, stripetest.ErrNotPending)
}

func TestADelayedPaymentFails(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	sess, err := s.PayDelayed(within(t), s.create(t).ID)
	require.NoError(t, err)
	sess, err = s.FailPayment(sess.ID)
	require.NoError(t, err)
	require.Equal(t, stripetest.Complete, sess.Status)
	require.Equal(t, stripetest.Unpaid, sess.PaymentStatus)
	require.Equal(t, []string{"checkout.session.async_payment_failed"}, s.types(1))
	intent, err := s.intents().Get(sess.PaymentIntentID, nil)
	require.NoError(t, err)
	require.Equal(t, stripe.PaymentIntentStatusRequiresPaymentMethod, intent.Status)
	require.NotEmpty(t, intent.LastPaymentError.Code)
	ch, err := s.charges().Get(intent.LatestCharge.ID, nil)
	require.NoError(t, err)
	require.Equal(t, stripe.ChargeStatusFailed, ch.Status)
	require.NotEmpty(t, ch.FailureCode)
	require.Empty(t, s.Balance())
	_, err = s.SettlePayment(sess.ID)
	require.ErrorIs(t, err, stripetest.ErrNotPending)
}

func TestOnlyADelayedPaymentIsSettled(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	open, paid := s.create(t).ID, s.paid(t).ID
	for _, id := range []string{open, paid} {
		_, err := s.SettlePayment(id)
		require.ErrorIs(t, err, stripetest.ErrNotPending)
	}
	_, err := s.SettlePayment("cs_test_none")
	require.ErrorIs(t, err, stripetest.ErrNotFound)
	_, err = s.PayDelayed(within(t), paid)
	require.ErrorIs(t, err, stripetest.ErrNotOpen)
	require.Equal(t, stripetest.Money{Captured: 2500}, s.Balance()["eur"])
}

func TestThePageOffersABankDebitWhereAnOptionSaysSo(t *testing.T) {
	t.Parallel()
	for offered, status := range map[bool]int{true: http.StatusSeeOther, false: http.StatusBadRequest} {
		s := start(t, stripetest.Options{BankDebit: offered})
		sess := s.create(t)
		if offered {
			require.Equal(t, []string{"card", "sepa_debit"}, sess.PaymentMethodTypes)
			require.Contains(t, read(t, get(t, sess.URL)), "Pay by bank debit")
		} else {
			require.NotContains(t, read(t, get(t, sess.URL)), "bank debit")
		}
		require.Equal(t, status, press(t, sess.URL, "debit").StatusCode)
		known, err := s.Session(sess.ID)
		require.NoError(t, err)
		require.Equal(t, stripetest.Unpaid, known.PaymentStatus)
		require.Equal(t, offered, known.Status == stripetest.Complete)
		if offered {
			require.Contains(t, read(t, get(t, sess.URL)), "waits for a bank debit")
		}
	}
}
