package stripetest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/charge"
	"github.com/stripe/stripe-go/v76/paymentintent"
	"github.com/stripe/stripe-go/v76/refund"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

func (s standIn) intents() paymentintent.Client {
	return paymentintent.Client{Key: secretKey, B: s.sessions.B}
}

func (s standIn) charges() charge.Client { return charge.Client{Key: secretKey, B: s.sessions.B} }

func (s standIn) refunds() refund.Client { return refund.Client{Key: secretKey, B: s.sessions.B} }

// paid is a session of 25 euros, paid.
func (s standIn) paid(t *testing.T) stripetest.Session {
	t.Helper()
	sess, err := s.Pay(within(t), s.create(t).ID)
	require.NoError(t, err)
	return sess
}

// types returns the events' after the first n, oldest first.
func (s standIn) types(n int) []string {
	var types []string
	for _, e := range s.Events()[n:] {
		types = append(types, e.Type)
	}
	return types
}

func TestCharge_OfPaidSession(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	sess := s.paid(t)

	intent, err := s.intents().Get(sess.PaymentIntentID, nil)
	require.NoError(t, err)
	require.Equal(t, "payment_intent", intent.Object)
	require.Equal(t, stripe.PaymentIntentStatusSucceeded, intent.Status)
	require.EqualValues(t, 2500, intent.Amount)
	require.EqualValues(t, 2500, intent.AmountReceived)
	require.Equal(t, stripe.CurrencyEUR, intent.Currency)
	require.Equal(t, map[string]string{"payment_id": "payment-1"}, intent.Metadata)

	ch, err := s.charges().Get(intent.LatestCharge.ID, nil)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(ch.ID, "ch_"), ch.ID)
	require.Equal(t, stripe.ChargeStatusSucceeded, ch.Status)
	require.EqualValues(t, 2500, ch.Amount)
	require.Zero(t, ch.AmountRefunded)
	require.False(t, ch.Refunded)
	require.True(t, ch.Paid)
	require.Equal(t, intent.ID, ch.PaymentIntent.ID)
	require.Equal(t, map[string]string{"payment_id": "payment-1"}, ch.Metadata)
	require.Equal(t, "ada@example.com", ch.BillingDetails.Email)

	require.Equal(t, map[string]stripetest.Money{"eur": {Captured: 2500}}, s.Balance())
	require.Len(t, s.Charges(), 1)
	known, err := s.PaymentIntent(sess.ID)
	require.NoError(t, err)
	require.Equal(t, ch.ID, known.ChargeID)
	for _, err := range []error{get1(s.intents().Get("pi_none", nil)), get1(s.charges().Get("ch_none", nil)),
		get1(s.refunds().Get("re_none", nil))} {
		require.Equal(t, stripe.ErrorCodeResourceMissing, stripeError(t, err).Code)
		require.Equal(t, 404, stripeError(t, err).HTTPStatusCode)
	}
	_, err = s.PaymentIntent(s.create(t).ID)
	require.ErrorIs(t, err, stripetest.ErrNotFound, "not paid yet")
}

func get1[T any](_ T, err error) error { return err }

func TestBalance_CountsForgotten(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	s.Keep(2)
	for range 3 {
		_, err := s.RefundFromDashboard(s.paid(t).ID, 500)
		require.NoError(t, err)
	}
	require.Len(t, s.Charges(), 2)
	require.Len(t, s.Refunds(), 2)
	require.Equal(t, map[string]stripetest.Money{"eur": {Captured: 7500, Refunded: 1500}}, s.Balance())
	require.EqualValues(t, 6000, s.Balance()["eur"].Kept())
}
