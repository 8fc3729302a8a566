package stripetest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// M24.
func TestCreateSession_ParametersAreValidated(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, stripetest.Options{Now: now.Now})
	at := func(d time.Duration) string { return strconv.FormatInt(now.Now().Add(d).Unix(), 10) }
	const (
		price   = "line_items[0][price_data]"
		product = price + "[product_data]"
	)
	for _, c := range []struct {
		set   map[string]string // to "-" removes
		param string            // refused for this; empty: accepted
		code  stripe.ErrorCode
	}{
		{set: nil},
		{set: map[string]string{"mode": "-"}, param: "mode", code: stripe.ErrorCodeParameterMissing},
		{set: map[string]string{"mode": "subscription"}, param: "mode"},
		{set: map[string]string{"success_url": "-"}, param: "success_url", code: stripe.ErrorCodeParameterMissing},
		{set: map[string]string{"success_url": ""}, param: "success_url", code: stripe.ErrorCodeParameterInvalidEmpty},
		{set: map[string]string{"success_url": "/done"}, param: "success_url", code: stripe.ErrorCodeURLInvalid},
		{set: map[string]string{"success_url": "javascript:alert(1)"}, param: "success_url",
			code: stripe.ErrorCodeURLInvalid},
		{set: map[string]string{"success_url": "https://a.example/\r\nSet-Cookie: a=b"}, param: "success_url",
			code: stripe.ErrorCodeURLInvalid},
		{set: map[string]string{"cancel_url": "-"}},
		{set: map[string]string{"cancel_url": "cancel"}, param: "cancel_url", code: stripe.ErrorCodeURLInvalid},
		{set: map[string]string{"customer_email": "ada"}, param: "customer_email", code: stripe.ErrorCodeEmailInvalid},
		{set: map[string]string{"customer_email": "Ada <ada@example.com>"}, param: "customer_email",
			code: stripe.ErrorCodeEmailInvalid},
		{set: map[string]string{"client_reference_id": strings.Repeat("é", 200)}},
		{set: map[string]string{"client_reference_id": strings.Repeat("é", 201)}, param: "client_reference_id"},

		{set: map[string]string{"expires_at": at(30 * time.Minute)}},
		{set: map[string]string{"expires_at": at(30*time.Minute - time.Second)}, param: "expires_at"},
		{set: map[string]string{"expires_at": at(24 * time.Hour)}},
		{set: map[string]string{"expires_at": at(24*time.Hour + time.Second)}, param: "expires_at"},
		{set: map[string]string{"expires_at": "tomorrow"}, param: "expires_at",
			code: stripe.ErrorCodeParameterInvalidInteger},
		{set: map[string]string{"expires_at": "99999999999999999999"}, param: "expires_at",
			code: stripe.ErrorCodeParameterInvalidInteger},

		{set: map[string]string{price + "[currency]": "EUR"}},
		{set: map[string]string{price + "[currency]": "xyz"}, param: price + "[currency]"},
		{set: map[string]string{price + "[currency]": "-"}, param: price + "[currency]",
			code: stripe.ErrorCodeParameterMissing},
		{set: map[string]string{price + "[unit_amount]": "-"}, param: price + "[unit_amount]",
			code: stripe.ErrorCodeParameterMissing},
		{set: map[string]string{price + "[unit_amount]": "12.50"}, param: price + "[unit_amount]",
			code: stripe.ErrorCodeParameterInvalidInteger},
		{set: map[string]string{price + "[unit_amount]": "-1"}, param: price + "[unit_amount]",
			code: stripe.ErrorCodeParameterInvalidInteger},
		{set: map[string]string{price + "[unit_amount]": "0"}},
		{set: map[string]string{price + "[unit_amount]": "24"}, param: "line_items",
			code: stripe.ErrorCodeAmountTooSmall},
		{set: map[string]string{price + "[unit_amount]": "25"}},
		{set: map[string]string{price + "[unit_amount]": "999999999999"}, param: "line_items",
			code: stripe.ErrorCodeAmountTooLarge},
		// The order's quantity is two.
		{set: map[string]string{price + "[unit_amount]": "49999999"}},
		{set: map[string]string{price + "[unit_amount]": "50000000"}, param: "line_items",
			code: stripe.ErrorCodeAmountTooLarge},
		{set: map[string]string{price + "[unit_amount]": "1000000000000"}, param: price + "[unit_amount]",
			code: stripe.ErrorCodeParameterInvalidInteger},
		{set: in("idr", "50000000")}, {set: in("huf", "50000000")}, {set: in("cop", "50000000")},
		{set: in("idr", "500000000000"), param: "line_items", code: stripe.ErrorCodeAmountTooLarge},
		{set: in("krw", "50000000"), param: "line_items", code: stripe.ErrorCodeAmountTooLarge},
		{set: in("jpy", "24"), param: "line_items", code: stripe.ErrorCodeAmountTooSmall}, {set: in("jpy", "25")},
		{set: in("huf", "8749"), param: "line_items", code: stripe.ErrorCodeAmountTooSmall}, {set: in("huf", "8750")},
		{set: in("krw", "24"), param: "line_items", code: stripe.ErrorCodeAmountTooSmall}, {set: in("gbp", "15")},
		{set: in("isk", "2550"), param: price + "[unit_amount]", code: stripe.ErrorCodeParameterInvalidInteger},
		{set: in("isk", "2500")},
		{set: in("ugx", "50"), param: price + "[unit_amount]", code: stripe.ErrorCodeParameterInvalidInteger},
		{set: in("ugx", "5000000")},
		{set: in("kwd", "18605"), param: price + "[unit_amount]", code: stripe.ErrorCodeParameterInvalidInteger},
		{set: in("kwd", "18600")},
		{set: in("tnd", "18601"), param: price + "[unit_amount]", code: stripe.ErrorCodeParameterInvalidInteger},
		{set: in("twd", "80045")},
		{set: in("isk", "0")},
		{set: map[string]string{product + "[name]": strings.Repeat("é", 5001)}, param: product + "[name]"},
		{set: map[string]string{product + "[description]": strings.Repeat("é", 40001)},
			param: product + "[description]"},
		{set: map[string]string{product + "[name]": "-"}, param: product + "[name]",
			code: stripe.ErrorCodeParameterMissing},
		{set: map[string]string{product + "[name]": ""}, param: product + "[name]",
			code: stripe.ErrorCodeParameterInvalidEmpty},
		{set: map[string]string{"line_items[0][quantity]": "-"}, param: "line_items[0][quantity]",
			code: stripe.ErrorCodeParameterMissing},
		{set: map[string]string{"line_items[0][quantity]": "0"}, param: "line_items[0][quantity]",
			code: stripe.ErrorCodeParameterInvalidInteger},
		{set: lineItem(1, "eur")},
		{set: lineItem(1, "usd"), param: "line_items"},
		{set: withoutLineItems(), param: "line_items", code: stripe.ErrorCodeParameterMissing},

		{set: map[string]string{"metadata[" + strings.Repeat("k", 40) + "]": strings.Repeat("é", 500)}},
		{set: map[string]string{"metadata[" + strings.Repeat("k", 41) + "]": "v"}, param: "metadata"},
		{set: map[string]string{"metadata[note]": strings.Repeat("v", 501)}, param: "metadata[note]"},
		{set: metadata(50)},
		{set: metadata(51), param: "metadata"},
		{set: map[string]string{"payment_intent_data[metadata][note]": strings.Repeat("v", 501)},
			param: "payment_intent_data[metadata][note]"},

		{set: map[string]string{"expand[]": "payment_intent", "payment_method_types[0]": "card", "locale": "de",
			"submit_type": "book"}},
		{set: map[string]string{"sucess_url": "https://a.example"}, param: "sucess_url",
			code: stripe.ErrorCodeParameterUnknown},
		{set: map[string]string{"amount": "1"}, param: "amount", code: stripe.ErrorCodeParameterUnknown},
		{set: map[string]string{"line_items[0][price]": "price_1"}, param: "line_items[0][price]",
			code: stripe.ErrorCodeParameterUnknown},
		{set: map[string]string{price + "[unit_amount][0]": "1"}, param: price + "[unit_amount][0]",
			code: stripe.ErrorCodeParameterUnknown},
		{set: map[string]string{"payment_intent_data[capture_method]": "manual"},
			param: "payment_intent_data[capture_method]", code: stripe.ErrorCodeParameterUnknown},
	} {
		t.Run(fmt.Sprintf("%.80v", c.set), func(t *testing.T) {
			form := url.Values{
				"mode": {"payment"}, "success_url": {"https://shop.example/done"},
				"cancel_url":     {"https://shop.example/"},
				"customer_email": {"ada@example.com"},
			}
			for name, value := range lineItem(0, "eur") {
				form.Set(name, value)
			}
			for name, value := range c.set {
				form.Set(name, value)
				if value == "-" {
					form.Del(name)
				}
			}
			before := len(s.Sessions())
			refusal := post(t, s, form)
			if c.param == "" {
				require.Nil(t, refusal, "%+v", refusal)
				return
			}
			require.NotNil(t, refusal, "accepted")
			require.Equal(t, c.param, refusal.Param)
			require.Equal(t, c.code, refusal.Code)
			require.Equal(t, http.StatusBadRequest, refusal.HTTPStatusCode)
			require.Equal(t, stripe.ErrorTypeInvalidRequest, refusal.Type)
			require.NotEmpty(t, refusal.Msg)
			require.Len(t, s.Sessions(), before, "nothing is stored")
		})
	}
}

func in(currency, amount string) map[string]string {
	return map[string]string{"line_items[0][price_data][currency]": currency,
		"line_items[0][price_data][unit_amount]": amount}
}

// lineItem is two times 12.50.
func lineItem(i int, currency string) map[string]string {
	name := "line_items[" + strconv.Itoa(i) + "]"
	return map[string]string{
		name + "[quantity]":                       "2",
		name + "[price_data][currency]":           currency,
		name + "[price_data][unit_amount]":        "1250",
		name + "[price_data][product_data][name]": "Boat tour",
	}
}

func withoutLineItems() map[string]string {
	none := lineItem(0, "eur")
	for name := range none {
		none[name] = "-"
	}
	return none
}

func metadata(n int) map[string]string {
	pairs := map[string]string{}
	for i := range n {
		pairs[fmt.Sprintf("metadata[key%d]", i)] = "value"
	}
	return pairs
}

// post sends raw parameters, which stripe-go would reject.
func post(t *testing.T, s standIn, form url.Values) *stripe.Error {
	t.Helper()
	params := &stripe.CheckoutSessionParams{}
	for name := range form {
		params.AddExtra(name, form.Get(name))
	}
	_, err := s.sessions.New(params)
	if err == nil {
		return nil
	}
	return stripeError(t, err)
}

func TestCreateSession_IsWhatWasRequested(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	params := order()
	expires := time.Now().Add(31 * time.Minute).Unix()
	params.ExpiresAt = &expires
	params.AddExpand("payment_intent")

	sess, err := s.sessions.New(params)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(sess.ID, "cs_test_"), sess.ID)
	require.Equal(t, "checkout.session", sess.Object)
	require.Equal(t, stripe.CheckoutSessionStatusOpen, sess.Status)
	require.Equal(t, stripe.CheckoutSessionPaymentStatusUnpaid, sess.PaymentStatus)
	require.Equal(t, stripe.CheckoutSessionModePayment, sess.Mode)
	require.Equal(t, int64(2500), sess.AmountTotal)
	require.Equal(t, int64(2500), sess.AmountSubtotal)
	require.Equal(t, stripe.CurrencyEUR, sess.Currency)
	require.Equal(t, "payment-1", sess.ClientReferenceID)
	require.Equal(t, "ada@example.com", sess.CustomerEmail)
	require.Equal(t, "ada@example.com", sess.CustomerDetails.Email)
	require.Equal(t, map[string]string{"booking_id": "booking-1"}, sess.Metadata)
	require.Equal(t, expires, sess.ExpiresAt)
	require.InDelta(t, time.Now().Unix(), sess.Created, 5)
	require.Equal(t, *params.SuccessURL, sess.SuccessURL)
	require.Equal(t, *params.CancelURL, sess.CancelURL)
	require.Equal(t, s.url+"/pay/"+sess.ID, sess.URL)
	require.False(t, sess.Livemode)
	require.Nil(t, sess.PaymentIntent, "Stripe makes it only when the customer pays")
	require.NotEmpty(t, sess.LastResponse.RequestID)

	again, err := s.sessions.Get(sess.ID, nil)
	require.NoError(t, err)
	require.JSONEq(t, string(sess.LastResponse.RawJSON), string(again.LastResponse.RawJSON))

	known, err := s.Session(sess.ID)
	require.NoError(t, err)
	require.Equal(t, []stripetest.LineItem{{Name: "Boat tour", Quantity: 2, UnitAmount: 1250}}, known.LineItems)
	require.Equal(t, map[string]string{"payment_id": "payment-1"}, known.PaymentIntentMetadata)
}

func TestCreateSession_ExpiresAfterADayByDefault(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	sess := s.create(t)
	require.Equal(t, int64(24*60*60), sess.ExpiresAt-sess.Created)
}

func TestCreateSession_FreeNeedsNoPayment(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	params := order()
	params.LineItems[0].PriceData.UnitAmount = stripe.Int64(0)
	sess, err := s.sessions.New(params)
	require.NoError(t, err)
	require.Equal(t, stripe.CheckoutSessionPaymentStatusNoPaymentRequired, sess.PaymentStatus)

	_, err = s.Pay(within(t), sess.ID)
	require.NoError(t, err)
	sess, err = s.sessions.Get(sess.ID, nil)
	require.NoError(t, err)
	require.Equal(t, stripe.CheckoutSessionStatusComplete, sess.Status)
	require.Equal(t, stripe.CheckoutSessionPaymentStatusNoPaymentRequired, sess.PaymentStatus)
	require.Nil(t, sess.PaymentIntent)
}
