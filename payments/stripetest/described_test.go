package stripetest_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/event"
	"github.com/stripe/stripe-go/v76/refund"
	"github.com/stripe/stripe-mock/spec"

	"github.com/booking-platform/booking-platform/internal/stripemock"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// objectAt is what the API answers.
func (s standIn) objectAt(t *testing.T, path string) map[string]any {
	t.Helper()
	resp := get(t, s.url+path)
	require.Equal(t, 200, resp.StatusCode, path)
	var object map[string]any
	require.NoError(t, json.Unmarshal([]byte(read(t, resp)), &object))
	return object
}

// Every object of the money, in every status it can have, and as events carry it.
func TestMoneyHasOnlyFieldsThatStripeDescribes(t *testing.T) {
	t.Parallel()
	schemas := stripemock.Description(t).Components.Schemas
	s := start(t, stripetest.Options{PendingRefunds: true})
	sess := s.paid(t)
	for range 3 {
		_, err := s.RefundFromDashboard(sess.ID, 100)
		require.NoError(t, err)
	}
	_, err := s.SettleRefund(s.Refunds()[0].ID)
	require.NoError(t, err)
	_, err = s.FailRefund(s.Refunds()[1].ID, "lost_or_stolen_card")
	require.NoError(t, err)

	disputed := s.paid(t)
	_, err = s.Dispute(disputed.ID)
	require.NoError(t, err)
	_, err = s.CloseDispute(disputed.ID, true)
	require.NoError(t, err)
	for _, end := range []func(string) (stripetest.Session, error){s.SettlePayment, s.FailPayment, nil} {
		delayed, err := s.PayDelayed(within(t), s.create(t).ID)
		require.NoError(t, err)
		if end != nil {
			_, err = end(delayed.ID)
			require.NoError(t, err)
		}
		matches(t, schemas["checkout.session"], s.objectAt(t, "/v1/checkout/sessions/"+delayed.ID), "checkout.session",
			map[string]string{
				"checkout.session.ui_mode": "hosted, its name in 2023-10-16, is called hosted_page since",
			})
	}

	for _, c := range s.Charges() {
		matches(t, schemas["charge"], s.objectAt(t, "/v1/charges/"+c.ID), "charge", nil)
		matches(t, schemas["payment_intent"], s.objectAt(t, "/v1/payment_intents/"+c.PaymentIntentID), "payment_intent",
			nil)
	}
	for _, r := range s.Refunds() {
		matches(t, schemas["refund"], s.objectAt(t, "/v1/refunds/"+r.ID), "refund", nil)
	}
	for _, e := range s.Events() {
		matches(t, schemas["event"], s.objectAt(t, "/v1/events/"+e.ID), "event", nil)
		var object map[string]any
		require.NoError(t, json.Unmarshal(e.Payload, &object))
		matches(t, schemas["event"], object, "event", nil)
		about := object["data"].(map[string]any)["object"].(map[string]any)
		require.Equal(t, e.ObjectID, about["id"])
		if kind := about["object"].(string); kind != "checkout.session" {
			matches(t, schemas[kind], about, kind, nil)
		}
	}
}

func TestEveryParameterOfMoneyIsDescribed(t *testing.T) {
	t.Parallel()
	paths := stripemock.Description(t).Paths
	query := func(path spec.Path) *spec.Schema { return spec.BuildQuerySchema(paths[path]["get"]) }
	for _, endpoint := range []struct {
		known     map[string]bool
		described *spec.Schema
	}{
		{stripetest.RefundParameters,
			paths["/v1/refunds"]["post"].RequestBody.Content["application/x-www-form-urlencoded"].Schema},
		{stripetest.RefundListParameters, query("/v1/refunds")},
		{stripetest.EventListParameters, query("/v1/events")},
		{stripetest.RetrieveParameters, query("/v1/events/{id}")},
		{stripetest.RetrieveParameters, query("/v1/refunds/{refund}")},
		{stripetest.RetrieveParameters, query("/v1/charges/{charge}")},
		{stripetest.RetrieveParameters, query("/v1/payment_intents/{intent}")},
	} {
		require.NotEmpty(t, endpoint.known)
		for pattern := range endpoint.known {
			require.True(t, describes(endpoint.described, pattern), pattern)
		}
	}
}

// What the stand-in takes, stripe-mock takes.
func TestStripeMockAgreesAboutMoney(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	sess := s.paid(t)
	mock := standIn{sessions: client(stripemock.Start(t), stripemock.Key)}
	for who, api := range map[string]stripe.Backend{"the stand-in": s.sessions.B, "stripe-mock": mock.sessions.B} {
		key := map[string]string{"the stand-in": secretKey, "stripe-mock": stripemock.Key}[who]
		refunds, events := refund.Client{Key: key, B: api}, event.Client{Key: key, B: api}
		params := of(sess, 100)
		params.Reason = stripe.String("duplicate")
		params.AddMetadata("refund_id", "1")
		params.AddExpand("charge")
		_, err := refunds.New(params)
		require.NoError(t, err, who)
		params.AddExtra("no_such_parameter", "1")
		_, err = refunds.New(params)
		require.Equal(t, 400, stripeError(t, err).HTTPStatusCode, who)

		listed := refunds.List(&stripe.RefundListParams{PaymentIntent: &sess.PaymentIntentID,
			Charge: stripe.String("ch_1")})
		listed.Next()
		require.NoError(t, listed.Err(), who)
		all := &stripe.EventListParams{DeliverySuccess: stripe.Bool(false),
			Types:        stripe.StringSlice([]string{"charge.refunded", "refund.created"}),
			CreatedRange: &stripe.RangeQueryParams{GreaterThanOrEqual: 1, LesserThan: 1 << 35}}
		all.Limit = stripe.Int64(3)
		told := events.List(all)
		told.Next()
		require.NoError(t, told.Err(), who)
	}
}
