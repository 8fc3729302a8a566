package stripetest_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/checkout/session"
	"github.com/stripe/stripe-go/v76/event"
	"github.com/stripe/stripe-go/v76/refund"
	"github.com/stripe/stripe-mock/spec"

	"github.com/booking-platform/booking-platform/internal/stripemock"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// These tests compare the stand-in with Stripe's published description. It is later than
// 2023-10-16, but most fields are in both.

var hostedBefore = map[string]string{
	"checkout.session.ui_mode": "hosted, its name in 2023-10-16, is called hosted_page since",
}

func TestDescription_FieldsOfSessions(t *testing.T) {
	t.Parallel()
	for version, except := range map[string]map[string]string{"": hostedBefore, described: nil} {
		described := stripemock.Description(t).Components.Schemas["checkout.session"]
		s := start(t, stripetest.Options{APIVersion: version})
		open := s.create(t)
		paid, expired := s.create(t), s.create(t)
		_, err := s.Pay(within(t), paid.ID)
		require.NoError(t, err)
		_, err = s.Server.Expire(expired.ID)
		require.NoError(t, err)
		for _, id := range []string{open.ID, paid.ID, expired.ID} {
			matches(t, described, s.objectAt(t, "/v1/checkout/sessions/"+id), "checkout.session", except)
		}
	}
}

func TestDescription_FieldsOfEvents(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	_, err := s.Pay(within(t), s.create(t).ID)
	require.NoError(t, err)
	var object map[string]any
	require.NoError(t, json.Unmarshal(s.Events()[0].Payload, &object))
	matches(t, stripemock.Description(t).Components.Schemas["event"], object, "event", nil)
}

func TestDescription_Lists(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	s.create(t)
	var object map[string]any
	require.NoError(t, json.Unmarshal([]byte(read(t, get(t, s.url+"/v1/checkout/sessions"))), &object))
	operation := stripemock.Description(t).Paths["/v1/checkout/sessions"]["get"]
	delete(object, "data") // sessions, which TestDescription_FieldsOfSessions checks
	described := operation.Responses["200"].Content["application/json"].Schema
	for name := range object {
		require.Contains(t, described.Properties, name)
	}
	require.Equal(t, "list", object["object"])
}

// matches checks names, types, null, enums and required fields.
func matches(t *testing.T, described *spec.Schema, got any, path string, except map[string]string) {
	t.Helper()
	if _, ok := except[path]; ok {
		return
	}
	if got == nil {
		require.True(t, described.Nullable, "%s is null", path)
		return
	}
	described = resolve(t, described, got)
	if len(described.Enum) > 0 {
		require.Contains(t, described.Enum, got, path)
	}
	switch got := got.(type) {
	case map[string]any:
		require.Contains(t, []string{"object", ""}, described.Type, path)
		for _, name := range described.Required {
			require.Contains(t, got, name, path)
		}
		for name, value := range got {
			field := described.Properties[name]
			if field == nil {
				field = described.AdditionalProperties
			}
			if field == nil && len(described.Properties) == 0 {
				continue // described as any object at all
			}
			require.NotNil(t, field, "%s.%s is not described", path, name)
			matches(t, field, value, path+"."+name, except)
		}
	case []any:
		require.Equal(t, "array", described.Type, path)
		for _, value := range got {
			matches(t, described.Items, value, path+"[]", except)
		}
	case string:
		require.Equal(t, "string", described.Type, path)
	case bool:
		require.Equal(t, "boolean", described.Type, path)
	case float64:
		require.Contains(t, []string{"integer", "number"}, described.Type, path)
	}
}

// resolve chooses, of several schemas, the one for an id or for an object.
func resolve(t *testing.T, s *spec.Schema, got any) *spec.Schema {
	t.Helper()
	for {
		if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
			s = stripemock.Description(t).Components.Schemas[name]
			require.NotNil(t, s, name)
			continue
		}
		if len(s.AnyOf) == 0 {
			return s
		}
		_, text := got.(string)
		chosen := s.AnyOf[0]
		for _, one := range s.AnyOf {
			if (one.Type == "string") == text {
				chosen = one
			}
		}
		s = chosen
	}
}

func TestDescription_ParametersOfSessions(t *testing.T) {
	t.Parallel()
	paths := stripemock.Description(t).Paths
	body := func(path spec.Path) *spec.Schema {
		return paths[path]["post"].RequestBody.Content["application/x-www-form-urlencoded"].Schema
	}
	for _, endpoint := range []struct {
		known     map[string]bool
		described *spec.Schema
	}{
		{stripetest.CreateParameters, body("/v1/checkout/sessions")},
		{stripetest.ExpireParameters, body("/v1/checkout/sessions/{session}/expire")},
		{stripetest.ListParameters, spec.BuildQuerySchema(paths["/v1/checkout/sessions"]["get"])},
		{stripetest.RetrieveParameters, spec.BuildQuerySchema(paths["/v1/checkout/sessions/{session}"]["get"])},
	} {
		require.NotEmpty(t, endpoint.known)
		for pattern := range endpoint.known {
			require.True(t, describes(endpoint.described, pattern), pattern)
		}
	}
}

var step = regexp.MustCompile(`[^\[\]]+|\[\]`)

// A pattern is such as line_items[][price_data][currency].
func describes(s *spec.Schema, pattern string) bool {
	at := []*spec.Schema{s}
	for _, name := range step.FindAllString(pattern, -1) {
		var next []*spec.Schema
		for _, s := range at {
			for _, one := range append([]*spec.Schema{s}, s.AnyOf...) {
				switch {
				case name != "[]" && one.Properties[name] != nil:
					next = append(next, one.Properties[name])
				case name == "[]" && one.Items != nil:
					next = append(next, one.Items)
				case name == "[]" && one.AdditionalProperties != nil: // metadata
					next = append(next, one.AdditionalProperties)
				}
			}
		}
		at = next
	}
	return len(at) > 0
}

// stripe-mock accepts what the stand-in accepts; both reject the mistakes that it
// detects.
func TestDescription_StripeMockAgreesOnSessions(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	mock := client(stripemock.Start(t), stripemock.Key)
	full := map[string]string{
		"mode": "payment", "success_url": "https://shop.example/done?id={CHECKOUT_SESSION_ID}",
		"cancel_url":     "https://shop.example/",
		"customer_email": "ada@example.com", "client_reference_id": "payment-1", "locale": "de", "submit_type": "book",
		"payment_method_types[0]": "card", "expand[0]": "payment_intent", "metadata[booking_id]": "b-1",
		"payment_intent_data[metadata][booking_id]": "b-1", "payment_intent_data[description]": "Boat tour",
		"payment_intent_data[receipt_email]": "ada@example.com", "payment_intent_data[statement_descriptor]": "BOATS",
		"payment_intent_data[statement_descriptor_suffix]":               "TOUR",
		"line_items[0][price_data][product_data][description]":           "Two hours",
		"line_items[0][price_data][product_data][images][0]":             "https://shop.example/boat.png",
		"line_items[0][price_data][product_data][metadata][resource_id]": "r-1",
		"line_items[0][price_data][product_data][tax_code]":              "txcd_20030000",
		"line_items[0][price_data][tax_behavior]":                        "inclusive",
		"automatic_tax[enabled]":                                         "true", "billing_address_collection": "required",
		"custom_text[submit][message]":           "No refund after Monday.",
		"customer_creation":                      "always",
		"invoice_creation[enabled]":              "true",
		"invoice_creation[invoice_data][footer]": "Thank you", "invoice_creation[invoice_data][description]": "Boat",
		"invoice_creation[invoice_data][metadata][order]": "17", "payment_intent_data[application_fee_amount]": "100",
		"payment_intent_data[on_behalf_of]": "acct_1", "payment_intent_data[transfer_data][destination]": "acct_1",
		"payment_intent_data[setup_future_usage]": "off_session",
	}
	maps.Copy(full, lineItem(0, "eur"))
	maps.Copy(full, lineItem(1, "eur"))
	for name, c := range map[string]struct {
		change   map[string]string
		accepted bool
	}{
		"all that is known":    {nil, true},
		"unknown":              {map[string]string{"sucess_url": "https://a.example"}, false},
		"amount not a number":  {map[string]string{"line_items[0][price_data][unit_amount]": "free"}, false},
		"expiry not a number":  {map[string]string{"expires_at": "soon"}, false},
		"mode that is unknown": {map[string]string{"mode": "pay"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			for name, api := range map[string]session.Client{"the stand-in": s.sessions, "stripe-mock": mock} {
				params := &stripe.CheckoutSessionParams{}
				sent := maps.Clone(full)
				maps.Copy(sent, c.change)
				for name, value := range sent {
					params.AddExtra(name, value)
				}
				_, err := api.New(params)
				if c.accepted {
					require.NoError(t, err, name)
					continue
				}
				require.Equal(t, http.StatusBadRequest, stripeError(t, err).HTTPStatusCode, name)
			}
		})
	}
	sess := s.create(t)
	_, err := mock.Get(sess.ID, nil)
	require.NoError(t, err)
	_, err = mock.Expire(sess.ID, nil)
	require.NoError(t, err)
	params := order()
	params.ExpiresAt = stripe.Int64(time.Now().Add(time.Hour).Unix())
	_, err = mock.New(params)
	require.NoError(t, err)
}

func (s standIn) objectAt(t *testing.T, path string) map[string]any {
	t.Helper()
	resp := get(t, s.url+path)
	require.Equal(t, 200, resp.StatusCode, path)
	var object map[string]any
	require.NoError(t, json.Unmarshal([]byte(read(t, resp)), &object))
	return object
}

// Every object in every status, from the API and in events.
func TestDescription_FieldsOfChargesRefundsDisputes(t *testing.T) {
	t.Parallel()
	schemas := stripemock.Description(t).Components.Schemas
	s := start(t, stripetest.Options{PendingRefunds: true, APIVersion: described})
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
			nil)
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
		kind := about["object"].(string)
		matches(t, schemas[kind], about, kind, nil)
	}
}

func TestDescription_ParametersOfRefundsAndLists(t *testing.T) {
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

func TestDescription_StripeMockAgreesOnRefunds(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	sess := s.paid(t)
	mock := standIn{sessions: client(stripemock.Start(t), stripemock.Key)}
	for name, api := range map[string]stripe.Backend{"the stand-in": s.sessions.B, "stripe-mock": mock.sessions.B} {
		key := map[string]string{"the stand-in": secretKey, "stripe-mock": stripemock.Key}[name]
		refunds, events := refund.Client{Key: key, B: api}, event.Client{Key: key, B: api}
		params := of(sess, 100)
		params.Reason = stripe.String("duplicate")
		params.AddMetadata("refund_id", "1")
		params.AddExpand("charge")
		_, err := refunds.New(params)
		require.NoError(t, err, name)
		params.AddExtra("no_such_parameter", "1")
		_, err = refunds.New(params)
		require.Equal(t, 400, stripeError(t, err).HTTPStatusCode, name)

		listed := refunds.List(&stripe.RefundListParams{PaymentIntent: &sess.PaymentIntentID,
			Charge: stripe.String("ch_1")})
		listed.Next()
		require.NoError(t, listed.Err(), name)
		all := &stripe.EventListParams{DeliverySuccess: stripe.Bool(false),
			Types:        stripe.StringSlice([]string{"charge.refunded", "refund.created"}),
			CreatedRange: &stripe.RangeQueryParams{GreaterThanOrEqual: 1, LesserThan: 1 << 35}}
		all.Limit = stripe.Int64(3)
		told := events.List(all)
		told.Next()
		require.NoError(t, told.Err(), name)
	}
}

func TestDescription_Endpoints(t *testing.T) {
	t.Parallel()
	described := stripemock.Description(t)
	s := start(t, stripetest.Options{WebhookURL: "http://127.0.0.1:1/webhook"})
	list := s.objectAt(t, "/v1/webhook_endpoints")["data"].([]any)
	require.Len(t, list, 1)
	matches(t, described.Components.Schemas["webhook_endpoint"], list[0], "webhook_endpoint", nil)
	query := spec.BuildQuerySchema(described.Paths["/v1/webhook_endpoints"]["get"])
	require.NotEmpty(t, stripetest.EndpointListParameters)
	for name := range stripetest.EndpointListParameters {
		require.True(t, describes(query, name), name)
	}
}
