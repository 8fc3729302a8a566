package stripetest_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/booking-platform/booking-platform/internal/stripemock"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/charge"
	"github.com/stripe/stripe-go/v76/paymentintent"
	"github.com/stripe/stripe-go/v76/refund"
	"github.com/stripe/stripe-mock/spec"
)

// intentOf is an intent of 25 euros.
func intentOf(change map[string]string) *stripe.PaymentIntentParams {
	p := &stripe.PaymentIntentParams{}
	sent := map[string]string{"amount": "2500", "currency": "EUR", "metadata[booking_id]": "booking-1"}
	maps.Copy(sent, change)
	for name, value := range sent {
		if value != "-" {
			p.AddExtra(name, value)
		}
	}
	return p
}

func (s standIn) intent(t *testing.T) *stripe.PaymentIntent {
	t.Helper()
	made, err := s.intents().New(intentOf(nil))
	require.NoError(t, err)
	return made
}

func (s standIn) typesOf(intent string) (types []string) {
	for _, e := range s.Events() {
		if e.IntentID == intent {
			types = append(types, e.Type)
		}
	}
	return types
}

func TestIntent_PaidAfterADecline(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	made := s.intent(t)
	require.Equal(t, stripe.PaymentIntentStatusRequiresPaymentMethod, made.Status)
	require.NotEmpty(t, made.ClientSecret)
	require.Nil(t, made.LatestCharge)

	require.NoError(t, s.DeclineIntent(made.ID))
	refused, err := s.intents().Get(made.ID, nil)
	require.NoError(t, err)
	require.Equal(t, stripe.PaymentIntentStatusRequiresPaymentMethod, refused.Status)
	require.Equal(t, stripe.ErrorCodeCardDeclined, refused.LastPaymentError.Code)
	require.Empty(t, s.Balance())

	paid, err := s.PayIntent(within(t), made.ID)
	require.NoError(t, err)
	require.Equal(t, stripetest.IntentSucceeded, paid.Status)
	require.Equal(t, int64(2500), s.Balance()["eur"].Captured)
	found, err := s.intents().Get(made.ID, nil)
	require.NoError(t, err)
	require.Equal(t, int64(2500), found.AmountReceived)
	require.Nil(t, found.LastPaymentError)

	_, err = s.RefundFromDashboard(made.ID, 500)
	require.NoError(t, err)
	_, err = s.Dispute(made.ID)
	require.NoError(t, err)
	require.Equal(t, []string{"payment_intent.created", "payment_intent.payment_failed", "payment_intent.succeeded",
		"refund.created", "charge.refunded", "charge.dispute.created", "charge.dispute.funds_withdrawn"},
		s.typesOf(made.ID))

	_, err = s.PayIntent(within(t), made.ID)
	require.ErrorIs(t, err, stripetest.ErrNotOpen)
	_, err = s.intents().Cancel(made.ID, nil)
	require.Equal(t, "payment_intent_unexpected_state", string(stripeError(t, err).Code))
	_, err = s.PayIntent(within(t), "pi_unknown")
	require.ErrorIs(t, err, stripetest.ErrNotFound)
}

func TestIntent_DelayedAndCanceled(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{BankDebit: true})
	made := s.intent(t)
	_, err := s.PayIntentDelayed(within(t), made.ID)
	require.NoError(t, err)
	_, err = s.intents().Cancel(made.ID, nil)
	require.Error(t, err, "a pending debit is not canceled")
	failed, err := s.FailIntent(made.ID)
	require.NoError(t, err)
	require.Equal(t, stripetest.IntentRequiresPaymentMethod, failed.Status)
	_, err = s.PayIntentDelayed(within(t), made.ID)
	require.NoError(t, err)
	_, err = s.SettleIntent(made.ID)
	require.NoError(t, err)
	_, err = s.SettleIntent(made.ID)
	require.ErrorIs(t, err, stripetest.ErrNotPending)
	require.Equal(t, []string{"payment_intent.created", "payment_intent.processing", "payment_intent.payment_failed",
		"payment_intent.processing", "payment_intent.succeeded"}, s.typesOf(made.ID))
	require.Equal(t, int64(2500), s.Balance()["eur"].Captured)

	unpaid := s.intent(t)
	canceled, err := s.intents().Cancel(unpaid.ID, &stripe.PaymentIntentCancelParams{
		CancellationReason: stripe.String("abandoned")})
	require.NoError(t, err)
	require.Equal(t, stripe.PaymentIntentStatusCanceled, canceled.Status)
	require.NotZero(t, canceled.CanceledAt)
	require.ErrorIs(t, s.CancelIntent(unpaid.ID), stripetest.ErrNotOpen)
	_, err = s.intents().Confirm(unpaid.ID, &stripe.PaymentIntentConfirmParams{
		PaymentMethod: stripe.String("pm_card_visa")})
	require.Error(t, err)
	require.Equal(t, []string{"payment_intent.created", "payment_intent.canceled"}, s.typesOf(unpaid.ID))

	var listed []string
	list := s.intents().List(&stripe.PaymentIntentListParams{})
	for list.Next() {
		listed = append(listed, list.PaymentIntent().ID)
	}
	require.NoError(t, list.Err())
	require.Equal(t, []string{unpaid.ID, made.ID}, listed)
}

func TestIntent_Confirm(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]stripe.PaymentIntentStatus{
		"pm_card_visa": stripe.PaymentIntentStatusSucceeded, "pm_sepaDebit": stripe.PaymentIntentStatusProcessing,
		"pm_card_visa_chargeDeclined": "", "pm_other": "",
	} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			s := start(t, stripetest.Options{})
			made := s.intent(t)
			confirmed, err := s.intents().Confirm(made.ID,
				&stripe.PaymentIntentConfirmParams{PaymentMethod: stripe.String(method)})
			at, createErr := s.intents().New(intentOf(map[string]string{"payment_method": method, "confirm": "true"}))
			if want != "" {
				require.NoError(t, err)
				require.NoError(t, createErr)
				require.Equal(t, want, confirmed.Status)
				require.Equal(t, want, at.Status)
				return
			}
			status := map[bool]int{true: http.StatusPaymentRequired, false: http.StatusBadRequest}[method != "pm_other"]
			require.Equal(t, status, stripeError(t, err).HTTPStatusCode)
			require.Equal(t, status, stripeError(t, createErr).HTTPStatusCode)
		})
	}
	s := start(t, stripetest.Options{})
	waiting, err := s.intents().New(intentOf(map[string]string{"payment_method": "pm_card_visa"}))
	require.NoError(t, err)
	require.Equal(t, stripe.PaymentIntentStatusRequiresConfirmation, waiting.Status)
	_, err = s.intents().New(intentOf(map[string]string{"confirm": "true"}))
	require.Equal(t, "payment_method", stripeError(t, err).Param)
	_, err = s.intents().Confirm(s.intent(t).ID, nil)
	require.Equal(t, "payment_intent_unexpected_state", string(stripeError(t, err).Code))
}

func TestIntent_RefusedParameters(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	for name, c := range map[string]struct {
		change map[string]string
		param  string
	}{
		"no amount":          {map[string]string{"amount": "-"}, "amount"},
		"amount too small":   {map[string]string{"amount": "49"}, "amount"},
		"no currency":        {map[string]string{"currency": "-"}, "currency"},
		"unknown currency":   {map[string]string{"currency": "xxx"}, "currency"},
		"digits of kwd":      {map[string]string{"currency": "kwd", "amount": "2501"}, "amount"},
		"manual capture":     {map[string]string{"capture_method": "manual"}, "capture_method"},
		"unknown parameter":  {map[string]string{"transfer_group": "x"}, "transfer_group"},
		"confirm is no bool": {map[string]string{"confirm": "yes"}, "confirm"},
	} {
		_, err := s.intents().New(intentOf(c.change))
		require.Equal(t, c.param, stripeError(t, err).Param, name)
	}
	yen, err := s.intents().New(intentOf(map[string]string{"currency": "jpy", "amount": "2500"}))
	require.NoError(t, err)
	require.Equal(t, int64(2500), yen.Amount)
}

// A repeat with the same key returns the same intent; OnIntent runs before the answer.
func TestIntent_IdempotencyAndHook(t *testing.T) {
	t.Parallel()
	var hooked []string
	s := start(t, stripetest.Options{OnIntent: func(p stripetest.PaymentIntent) { hooked = append(hooked, p.ID) }})
	params := intentOf(nil)
	params.SetIdempotencyKey("order-1")
	first, err := s.intents().New(params)
	require.NoError(t, err)
	again, err := s.intents().New(params)
	require.NoError(t, err)
	require.Equal(t, first.ID, again.ID)
	require.Equal(t, []string{first.ID}, hooked)
	require.Len(t, s.PaymentIntents(), 1)
}

// With IntentEvents, sessions send the events of their intents, which nothing can cancel.
func TestIntent_OfSession(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{IntentEvents: true})
	paid := s.paid(t)
	require.Equal(t, []string{"payment_intent.created", "payment_intent.succeeded", "checkout.session.completed"},
		s.typesOf(paid.PaymentIntentID))
	_, err := s.intents().Cancel(paid.PaymentIntentID, nil)
	require.Contains(t, stripeError(t, err).Msg, "Checkout")
	_, err = s.SettleIntent(paid.PaymentIntentID)
	require.ErrorIs(t, err, stripetest.ErrNotPending)
}

// Every intent in every status, from the API and in events.
func TestDescription_PaymentIntents(t *testing.T) {
	t.Parallel()
	schemas := stripemock.Description(t).Components.Schemas
	s := start(t, stripetest.Options{})
	for _, step := range []func(string) error{
		func(string) error { return nil },
		s.DeclineIntent,
		s.CancelIntent,
		func(id string) error { _, err := s.PayIntent(within(t), id); return err },
		func(id string) error { _, err := s.PayIntentDelayed(within(t), id); return err },
		func(id string) error {
			_, _ = s.PayIntentDelayed(within(t), id)
			_, err := s.FailIntent(id)
			return err
		},
	} {
		require.NoError(t, step(s.intent(t).ID))
	}
	_, err := s.intents().New(intentOf(map[string]string{"payment_method": "pm_card_visa",
		"automatic_payment_methods[enabled]": "true"}))
	require.NoError(t, err)
	statuses := map[stripetest.IntentStatus]bool{}
	for _, p := range s.PaymentIntents() {
		statuses[p.Status] = true
		matches(t, schemas["payment_intent"], s.objectAt(t, "/v1/payment_intents/"+p.ID), "payment_intent", nil)
	}
	require.Len(t, statuses, 5)
	for _, c := range s.Charges() {
		matches(t, schemas["charge"], s.objectAt(t, "/v1/charges/"+c.ID), "charge", nil)
	}
	for _, e := range s.Events() {
		var object map[string]any
		require.NoError(t, json.Unmarshal(e.Payload, &object))
		matches(t, schemas["event"], object, "event", nil)
		matches(t, schemas["payment_intent"], object["data"].(map[string]any)["object"], "payment_intent", nil)
	}
}

func TestDescription_ParametersOfPaymentIntents(t *testing.T) {
	t.Parallel()
	paths := stripemock.Description(t).Paths
	body := func(path spec.Path) *spec.Schema {
		return paths[path]["post"].RequestBody.Content["application/x-www-form-urlencoded"].Schema
	}
	for _, endpoint := range []struct {
		known     map[string]bool
		described *spec.Schema
	}{
		{stripetest.IntentParameters, body("/v1/payment_intents")},
		{stripetest.IntentConfirmParameters, body("/v1/payment_intents/{intent}/confirm")},
		{stripetest.IntentCancelParameters, body("/v1/payment_intents/{intent}/cancel")},
		{stripetest.IntentListParameters, spec.BuildQuerySchema(paths["/v1/payment_intents"]["get"])},
	} {
		require.NotEmpty(t, endpoint.known)
		for pattern := range endpoint.known {
			require.True(t, describes(endpoint.described, pattern), pattern)
		}
	}
	// stripe-mock accepts the same parameters.
	mock := paymentintent.Client{Key: stripemock.Key, B: client(stripemock.Start(t), stripemock.Key).B}
	_, err := mock.New(intentOf(map[string]string{"capture_method": "automatic", "description": "Boat tour",
		"receipt_email": "ada@example.com", "payment_method_types[0]": "card", "payment_method": "pm_card_visa",
		"confirm": "true", "return_url": "https://shop.example/"}))
	require.NoError(t, err)
	_, err = mock.New(intentOf(map[string]string{"amount": "much"}))
	require.Equal(t, http.StatusBadRequest, stripeError(t, err).HTTPStatusCode)
}

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
