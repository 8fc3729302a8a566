package stripetest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

func TestPayDelayed_Succeeds(t *testing.T) {
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

func TestPayDelayed_Fails(t *testing.T) {
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

func TestSettlePayment_OnlyDelayed(t *testing.T) {
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

func TestPay_SessionIsPaid(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	open := s.create(t)
	_, err := s.Pay(within(t), open.ID)
	require.NoError(t, err)

	paid, err := s.sessions.Get(open.ID, nil)
	require.NoError(t, err)
	require.Equal(t, stripe.CheckoutSessionStatusComplete, paid.Status)
	require.Equal(t, stripe.CheckoutSessionPaymentStatusPaid, paid.PaymentStatus)
	require.True(t, strings.HasPrefix(paid.PaymentIntent.ID, "pi_"), paid.PaymentIntent.ID)
	require.Equal(t, "ada@example.com", paid.CustomerDetails.Email)
	require.Empty(t, paid.URL)
}

func TestExpire_OpenSessionOnly(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	open, paid := s.create(t), s.create(t)
	_, err := s.Pay(within(t), paid.ID)
	require.NoError(t, err)

	expired, err := s.sessions.Expire(open.ID, nil)
	require.NoError(t, err)
	require.Equal(t, stripe.CheckoutSessionStatusExpired, expired.Status)
	require.Empty(t, expired.URL)

	for id, status := range map[string]string{open.ID: "expired", paid.ID: "complete"} {
		_, err = s.sessions.Expire(id, nil)
		refused := stripeError(t, err)
		require.Equal(t, http.StatusBadRequest, refused.HTTPStatusCode)
		require.Contains(t, refused.Msg, status)
	}
	_, err = s.Pay(within(t), open.ID)
	require.ErrorIs(t, err, stripetest.ErrNotOpen)
	require.ErrorIs(t, s.Decline(open.ID), stripetest.ErrNotOpen)
	require.NoError(t, s.Decline(s.create(t).ID))

	types := map[string]string{}
	for _, e := range s.Events() {
		types[e.SessionID] += e.Type
	}
	require.Equal(t, map[string]string{
		open.ID: "checkout.session.expired", paid.ID: "checkout.session.completed",
	}, types, "one event each, refused calls none")
}

func TestPay_OneOfManyAtOnce(t *testing.T) {
	t.Parallel()
	r := receive(t, answering(http.StatusOK))
	s := start(t, stripetest.Options{WebhookURL: r.url}).run(t)
	sess := s.create(t)
	var paid, refused atomic.Int32
	var customers sync.WaitGroup
	for i := range 32 {
		customers.Go(func() {
			var err error
			if i%4 == 0 {
				_, err = s.Server.Expire(sess.ID)
			} else {
				_, err = s.Pay(context.Background(), sess.ID)
			}
			if err == nil {
				paid.Add(1)
			} else {
				refused.Add(1)
			}
		})
	}
	customers.Wait()
	require.EqualValues(t, 1, paid.Load())
	require.EqualValues(t, 31, refused.Load())
	require.NoError(t, s.WaitDelivered(within(t)))
	require.Len(t, s.Events(), 1)
}

// The customer pays before the response to the call that created the session.
func TestPay_WebhookBeforeCreateIsAnswered(t *testing.T) {
	t.Parallel()
	var server *stripetest.Server
	told := make(chan string, 1)
	r := receive(t, answering(http.StatusOK))
	s := start(t, stripetest.Options{WebhookURL: r.url, OnCreate: func(sess stripetest.Session) {
		_, err := server.Pay(context.Background(), sess.ID)
		if err == nil {
			told <- sess.ID
		}
	}})
	server = s.Server
	s.run(t)
	sess, err := s.sessions.New(order())
	require.NoError(t, err)
	require.Len(t, r.deliveries, 1, "delivered before the call was answered")
	require.Equal(t, sess.ID, <-told)
	require.Equal(t, stripe.CheckoutSessionStatusOpen, sess.Status, "the answer says what was true when it was made")
}
