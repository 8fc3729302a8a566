package stripetest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// of refunds a session's payment; amount 0 means all of it.
func of(sess stripetest.Session, amount int64) *stripe.RefundParams {
	p := &stripe.RefundParams{PaymentIntent: &sess.PaymentIntentID}
	if amount > 0 {
		p.Amount = &amount
	}
	return p
}

func TestRefund_SucceedsWithTwoEvents(t *testing.T) {
	t.Parallel()
	r := receive(t, answering(http.StatusOK))
	s := start(t, stripetest.Options{WebhookURL: r.url}).run(t)
	sess := s.paid(t)
	r.next(t)

	params := of(sess, 1000)
	params.Reason = stripe.String("requested_by_customer")
	params.AddMetadata("refund_id", "refund-1")
	params.SetIdempotencyKey("refund-1")
	made, err := s.refunds().New(params)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(made.ID, "re_"), made.ID)
	require.Equal(t, stripe.RefundStatusSucceeded, made.Status)
	require.EqualValues(t, 1000, made.Amount)
	require.Equal(t, stripe.CurrencyEUR, made.Currency)
	require.Equal(t, sess.PaymentIntentID, made.PaymentIntent.ID)
	require.Equal(t, map[string]string{"refund_id": "refund-1"}, made.Metadata)
	require.Equal(t, stripe.RefundReasonRequestedByCustomer, made.Reason)
	require.Empty(t, made.FailureReason)
	ch, err := s.charges().Get(made.Charge.ID, nil)
	require.NoError(t, err)
	require.EqualValues(t, 1000, ch.AmountRefunded)
	require.False(t, ch.Refunded)

	told := map[stripe.EventType]*stripe.Event{}
	for range 2 {
		d := r.next(t)
		ev, err := webhook.ConstructEvent(d.body, d.signature, webhookSecret)
		require.NoError(t, err)
		require.Equal(t, "refund-1", ev.Request.IdempotencyKey)
		told[ev.Type] = &ev
	}
	require.Equal(t, made.ID, told["refund.created"].GetObjectValue("id"))
	var charged stripe.Charge
	require.NoError(t, json.Unmarshal(told["charge.refunded"].Data.Raw, &charged))
	require.Equal(t, ch.ID, charged.ID)
	require.EqualValues(t, 1000, charged.AmountRefunded)
	require.Nil(t, charged.Refunds, "API versions since 2022-11-15 leave the list out")

	// The rest, by charge and without an amount.
	rest, err := s.refunds().New(&stripe.RefundParams{Charge: &ch.ID})
	require.NoError(t, err)
	require.EqualValues(t, 1500, rest.Amount)
	ch, err = s.charges().Get(ch.ID, nil)
	require.NoError(t, err)
	require.True(t, ch.Refunded)
	require.Equal(t, stripetest.Money{Captured: 2500, Refunded: 2500}, s.Balance()["eur"])
	got, err := s.refunds().Get(made.ID, nil)
	require.NoError(t, err)
	require.JSONEq(t, string(made.LastResponse.RawJSON), string(got.LastResponse.RawJSON))
}

func TestRefund_NotMoreThanPaid(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	sess := s.paid(t)
	tooMuch := of(sess, 2501)
	tooMuch.SetIdempotencyKey("too-much")
	_, err := s.refunds().New(tooMuch)
	refused := stripeError(t, err)
	require.Equal(t, http.StatusBadRequest, refused.HTTPStatusCode)
	require.Equal(t, "amount", refused.Param)
	require.Contains(t, refused.Msg, "is greater than unrefunded amount on charge (EUR 25.00)")
	_, err = s.refunds().New(tooMuch)
	require.Equal(t, "true", stripeError(t, err).LastResponse.Header.Get("Idempotent-Replayed"),
		"Stripe found out while it executed the call, so the refusal is stored")

	var clients sync.WaitGroup
	for range 32 {
		clients.Go(func() { _, _ = s.refunds().New(of(sess, 300)) })
	}
	clients.Wait()
	require.Len(t, s.Refunds(), 8)
	require.EqualValues(t, 2400, s.Balance()["eur"].Refunded)
	_, err = s.refunds().New(of(sess, 0))
	require.NoError(t, err)
	_, err = s.refunds().New(of(sess, 1))
	require.Equal(t, stripe.ErrorCodeChargeAlreadyRefunded, stripeError(t, err).Code)
	_, err = s.RefundFromDashboard(sess.ID, 1)
	require.ErrorContains(t, err, "has already been refunded")
	require.Equal(t, stripetest.Money{Captured: 2500, Refunded: 2500}, s.Balance()["eur"])
}

func TestRefund_SameKeyOneRefund(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	sess := s.paid(t)
	params := of(sess, 100)
	params.SetIdempotencyKey("refund-1")
	first, err := s.refunds().New(params)
	require.NoError(t, err)
	again, err := s.refunds().New(params)
	require.NoError(t, err)
	require.Equal(t, first.ID, again.ID)
	require.Len(t, s.Refunds(), 1)
	params.Amount = stripe.Int64(200)
	_, err = s.refunds().New(params)
	require.Equal(t, stripe.ErrorTypeIdempotency, stripeError(t, err).Type)
	params.Amount = stripe.Int64(100)
	s.Advance(25 * 60 * 60 * 1e9)
	second, err := s.refunds().New(params)
	require.NoError(t, err)
	require.NotEqual(t, first.ID, second.ID, "a forgotten key refunds again")
}

func TestRefund_Errors(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	sess := s.paid(t)
	for name, c := range map[string]struct {
		params *stripe.RefundParams
		param  string
	}{
		"unknown charge": {&stripe.RefundParams{Charge: stripe.String("ch_none")}, "id"},
		"unknown intent": {&stripe.RefundParams{PaymentIntent: stripe.String("pi_none")}, "payment_intent"},
		"of nothing":     {&stripe.RefundParams{}, ""},
		"of both":        {&stripe.RefundParams{Charge: &s.Charges()[0].ID, PaymentIntent: &sess.PaymentIntentID}, ""},
		"zero": {&stripe.RefundParams{PaymentIntent: &sess.PaymentIntentID, Amount: stripe.Int64(0)},
			"amount"},
		"reason": {&stripe.RefundParams{PaymentIntent: &sess.PaymentIntentID, Reason: stripe.String("whim")}, "reason"},
		"unknown parameter": {&stripe.RefundParams{PaymentIntent: &sess.PaymentIntentID,
			InstructionsEmail: stripe.String("ada@example.com")},
			"instructions_email"},
		"transfer of a charge without one": {&stripe.RefundParams{PaymentIntent: &sess.PaymentIntentID,
			ReverseTransfer: stripe.Bool(true)},
			"reverse_transfer"},
	} {
		_, err := s.refunds().New(c.params)
		refused := stripeError(t, err)
		require.Equal(t, http.StatusBadRequest, refused.HTTPStatusCode, name)
		require.Equal(t, c.param, refused.Param, name)
	}
	require.Empty(t, s.Refunds())
	_, err := s.RefundFromDashboard("pi_none", 1)
	require.ErrorIs(t, err, stripetest.ErrNotFound)
	_, err = s.RefundFromDashboard(sess.ID, -1)
	require.Error(t, err)
	_, err = s.RefundFromDashboard(s.create(t).ID, 1)
	require.ErrorIs(t, err, stripetest.ErrNotFound, "not paid yet")
}

func TestListRefunds_NewestFirst(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	one, other := s.paid(t), s.paid(t)
	var ids []string
	for range 12 {
		id, err := s.RefundFromDashboard(one.PaymentIntentID, 10)
		require.NoError(t, err)
		ids = append([]string{id}, ids...)
	}
	elsewhere, err := s.RefundFromDashboard(other.ID, 10)
	require.NoError(t, err)
	charge, err := s.PaymentIntent(one.ID)
	require.NoError(t, err)
	for _, params := range []*stripe.RefundListParams{{PaymentIntent: &one.PaymentIntentID},
		{Charge: &charge.ChargeID}} {
		params.Limit = stripe.Int64(5)
		var listed []string
		it := s.refunds().List(params)
		for it.Next() {
			listed = append(listed, it.Refund().ID)
		}
		require.NoError(t, it.Err())
		require.Equal(t, ids, listed)
	}
	all := s.refunds().List(&stripe.RefundListParams{})
	require.True(t, all.Next())
	require.Equal(t, elsewhere, all.Refund().ID)
	require.True(t, s.Refunds()[0].ByHand)
	require.Equal(t, 404, get(t, s.url+"/v1/refunds?starting_after=re_none").StatusCode)
}

// Before the response to the call that made the refund.
func TestRefund_EventsBeforeAnswer(t *testing.T) {
	t.Parallel()
	r := receive(t, answering(http.StatusOK))
	var server *stripetest.Server
	heard := make(chan error, 1)
	s := start(t, stripetest.Options{WebhookURL: r.url, OnRefund: func(stripetest.Refund) {
		heard <- server.WaitDelivered(within(t))
	}})
	server = s.Server
	s.run(t)
	_, err := s.refunds().New(of(s.paid(t), 0))
	require.NoError(t, err)
	require.NoError(t, <-heard)
	require.Len(t, r.deliveries, 3)
}

func TestSettleRefund_Pending(t *testing.T) {
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

// M18: The amount can be refunded again.
func TestCancelRefund_RequiresAction(t *testing.T) {
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

// A pending refund, one that had succeeded, and a canceled one.
func TestFailRefund_AmountCanBeRefundedAgain(t *testing.T) {
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
