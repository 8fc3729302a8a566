package stripetest_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

func TestDispute_MoneyByOutcome(t *testing.T) {
	t.Parallel()
	for won, want := range map[bool]struct {
		types  []string
		status stripe.DisputeStatus
		money  stripetest.Money
	}{
		true: {[]string{"charge.dispute.closed", "charge.dispute.funds_reinstated"}, stripe.DisputeStatusWon,
			stripetest.Money{Captured: 2500, Refunded: 500}},
		false: {[]string{"charge.dispute.closed"}, stripe.DisputeStatusLost,
			stripetest.Money{Captured: 2500, Refunded: 500, Disputed: 2000}},
	} {
		s := start(t, stripetest.Options{})
		sess := s.paid(t)
		_, err := s.RefundFromDashboard(sess.ID, 500)
		require.NoError(t, err)

		opened, err := s.Dispute(sess.PaymentIntentID)
		require.NoError(t, err)
		require.EqualValues(t, 2000, opened.Amount, "what was not refunded")
		require.Equal(t, []string{"charge.dispute.created", "charge.dispute.funds_withdrawn"}, s.types(3))
		require.EqualValues(t, 2000, s.Balance()["eur"].Disputed)
		require.Zero(t, s.Balance()["eur"].Kept())
		_, err = s.refunds().New(of(sess, 1))
		require.Equal(t, stripe.ErrorCodeChargeDisputed, stripeError(t, err).Code)
		_, err = s.Dispute(sess.ID)
		require.ErrorContains(t, err, "disputed: true")

		_, err = s.CloseDispute(sess.ID, won)
		require.NoError(t, err)
		require.Equal(t, want.types, s.types(5))
		require.Equal(t, want.money, s.Balance()["eur"])
		var told struct {
			Data struct{ Object stripe.Dispute }
		}
		require.NoError(t, json.Unmarshal(s.Events()[5].Payload, &told))
		require.Equal(t, want.status, told.Data.Object.Status)
		require.Equal(t, opened.ID, told.Data.Object.ID)
		require.Equal(t, s.Charges()[0].ID, told.Data.Object.Charge.ID)
		require.Equal(t, sess.PaymentIntentID, told.Data.Object.PaymentIntent.ID)
		_, err = s.CloseDispute(sess.ID, won)
		require.ErrorIs(t, err, stripetest.ErrNotPending)
		_, err = s.refunds().New(of(sess, 2000))
		require.Equal(t, won, err == nil, "what was won can be refunded")
	}
}

func TestDispute_Errors(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	sess := s.paid(t)
	_, err := s.CloseDispute(sess.ID, true)
	require.ErrorIs(t, err, stripetest.ErrNotFound, "there is none")
	_, err = s.RefundFromDashboard(sess.ID, 0)
	require.NoError(t, err)
	_, err = s.Dispute(sess.ID)
	require.ErrorContains(t, err, "0 left")
	_, err = s.Dispute("pi_none")
	require.ErrorIs(t, err, stripetest.ErrNotFound)
	_, err = s.CloseDispute("pi_none", true)
	require.ErrorIs(t, err, stripetest.ErrNotFound)
}
