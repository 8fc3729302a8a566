package payments_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/internal/stripemock"
	"github.com/booking-platform/booking-platform/payments"
)

// What takes away or changes what the guarantee needs is refused before Stripe is called,
// by parameter, and the slot is free again.
func TestShapeCheckout_Refused(t *testing.T) {
	t.Parallel()
	sent := &bodies{}
	var change func(p *stripe.CheckoutSessionParams)
	w := newWorld(t, setup{wrap: sent.wrap, opts: shape(func(p *stripe.CheckoutSessionParams) { change(p) })})
	str, yes, no := stripe.String, stripe.Bool(true), stripe.Bool(false)
	item := func(p *stripe.CheckoutSessionParams) *stripe.CheckoutSessionLineItemParams { return p.LineItems[0] }
	extra := func(key, value string) func(*stripe.CheckoutSessionParams) {
		return func(p *stripe.CheckoutSessionParams) { p.AddExtra(key, value) }
	}
	cases := map[string]struct {
		field  string
		change func(p *stripe.CheckoutSessionParams)
	}{
		"amount": {"line_items[0][price_data][unit_amount]", func(p *stripe.CheckoutSessionParams) {
			item(p).PriceData.UnitAmount = stripe.Int64(1)
		}},
		"amount as a decimal": {"line_items[0][price_data][unit_amount_decimal]", func(p *stripe.CheckoutSessionParams) {
			item(p).PriceData.UnitAmountDecimal = stripe.Float64(1)
		}},
		"currency": {"line_items[0][price_data][currency]", func(p *stripe.CheckoutSessionParams) {
			item(p).PriceData.Currency = str("usd")
		}},
		"quantity": {"line_items[0][quantity]", func(p *stripe.CheckoutSessionParams) {
			item(p).Quantity = stripe.Int64(2)
		}},
		"quantity taken away": {"line_items[0][quantity]", func(p *stripe.CheckoutSessionParams) {
			item(p).Quantity = nil
		}},
		"quantity twice":      {"line_items[0][quantity]", extra("line_items[0][quantity]", "1")},
		"quantity, disguised": {"line_items[00][quantity]", extra("line_items[00][quantity]", "3")},
		"adjustable quantity": {"line_items[0][adjustable_quantity][enabled]", func(p *stripe.CheckoutSessionParams) {
			item(p).AdjustableQuantity = &stripe.CheckoutSessionLineItemAdjustableQuantityParams{Enabled: yes}
		}},
		"a second item": {"line_items[1][price]", func(p *stripe.CheckoutSessionParams) {
			p.LineItems = append(p.LineItems, &stripe.CheckoutSessionLineItemParams{Price: str("price_1")})
		}},
		"no item": {"line_items[0][price_data][currency]", func(p *stripe.CheckoutSessionParams) {
			p.LineItems = nil
		}},
		"a price": {"line_items[0][price_data][currency]", func(p *stripe.CheckoutSessionParams) {
			item(p).PriceData, item(p).Price = nil, str("price_1")
		}},
		"a recurring price": {"line_items[0][price_data][recurring][interval]", func(p *stripe.CheckoutSessionParams) {
			item(p).PriceData.Recurring = &stripe.CheckoutSessionLineItemPriceDataRecurringParams{Interval: str("day")}
		}},
		"tax on top": {"line_items[0][price_data][tax_behavior]", func(p *stripe.CheckoutSessionParams) {
			item(p).PriceData.TaxBehavior = str("exclusive")
		}},
		"tax rates": {"line_items[0][tax_rates][0]", func(p *stripe.CheckoutSessionParams) {
			item(p).TaxRates = []*string{str("txr_1")}
		}},
		"mode":              {"mode", func(p *stripe.CheckoutSessionParams) { p.Mode = str("setup") }},
		"reference":         {"client_reference_id", func(p *stripe.CheckoutSessionParams) { p.ClientReferenceID = str("x") }},
		"metadata replaced": {"metadata[booking_id]", func(p *stripe.CheckoutSessionParams) { p.Metadata = nil }},
		"metadata changed": {"metadata[payment_id]", func(p *stripe.CheckoutSessionParams) {
			p.Metadata["payment_id"] = "0193b3a0-0000-7000-8000-000000000000"
		}},
		"metadata of the intent": {"payment_intent_data[metadata][booking_id]", func(p *stripe.CheckoutSessionParams) {
			p.PaymentIntentData = nil
		}},
		"end":     {"expires_at", func(p *stripe.CheckoutSessionParams) { p.ExpiresAt = stripe.Int64(1) }},
		"success": {"success_url", func(p *stripe.CheckoutSessionParams) { p.SuccessURL = str(appURL + "/done") }},
		"elsewhere": {"success_url", func(p *stripe.CheckoutSessionParams) {
			p.SuccessURL = str("https://a.example/?s={CHECKOUT_SESSION_ID}")
		}},
		"prefix":    {"success_url", func(p *stripe.CheckoutSessionParams) { p.SuccessURL = str(appURL + ".a.example/{CHECKOUT_SESSION_ID}") }},
		"no cancel": {"cancel_url", func(p *stripe.CheckoutSessionParams) { p.CancelURL = nil }},
		"embedded":  {"ui_mode", func(p *stripe.CheckoutSessionParams) { p.UIMode = str("embedded") }},
		"promotion": {"allow_promotion_codes", func(p *stripe.CheckoutSessionParams) { p.AllowPromotionCodes = yes }},
		"discount": {"discounts[0][coupon]", func(p *stripe.CheckoutSessionParams) {
			p.Discounts = []*stripe.CheckoutSessionDiscountParams{{Coupon: str("free")}}
		}},
		"shipping": {"shipping_options[0][shipping_rate]", func(p *stripe.CheckoutSessionParams) {
			p.ShippingOptions = []*stripe.CheckoutSessionShippingOptionParams{{ShippingRate: str("shr_1")}}
		}},
		"recovery": {"after_expiration[recovery][enabled]", func(p *stripe.CheckoutSessionParams) {
			p.AfterExpiration = &stripe.CheckoutSessionAfterExpirationParams{
				Recovery: &stripe.CheckoutSessionAfterExpirationRecoveryParams{Enabled: yes}}
		}},
		"manual capture": {"payment_intent_data[capture_method]", func(p *stripe.CheckoutSessionParams) {
			p.PaymentIntentData.CaptureMethod = str("manual")
		}},
		"manual capture of a method": {"payment_method_options[card][capture_method]",
			extra("payment_method_options[card][capture_method]", "manual")},
		"optional items":       {"optional_items[0][price]", extra("optional_items[0][price]", "price_1")},
		"other currency":       {"adaptive_pricing[enabled]", extra("adaptive_pricing[enabled]", "true")},
		"unknown to us":        {"surcharge[amount]", extra("surcharge[amount]", "100")},
		"expand":               {"expand[0]", func(p *stripe.CheckoutSessionParams) { p.AddExpand("line_items") }},
		"another account":      {"Stripe-Account", func(p *stripe.CheckoutSessionParams) { p.SetStripeAccount("acct_1") }},
		"the key":              {"Idempotency-Key", func(p *stripe.CheckoutSessionParams) { p.SetIdempotencyKey("mine") }},
		"a header":             {"Headers", func(p *stripe.CheckoutSessionParams) { p.Headers = http.Header{"A": {"b"}} }},
		"everything":           {"cancel_url", func(p *stripe.CheckoutSessionParams) { *p = stripe.CheckoutSessionParams{} }},
		"metadata in brackets": {"metadata[a[b]]", func(p *stripe.CheckoutSessionParams) { p.Metadata["a[b]"] = "c" }},
		"metadata key": {"metadata[" + strings.Repeat("k", 41) + "]", func(p *stripe.CheckoutSessionParams) {
			p.Metadata[strings.Repeat("k", 41)] = "v"
		}},
		"metadata value": {"metadata[note]", func(p *stripe.CheckoutSessionParams) {
			p.Metadata["note"] = strings.Repeat("é", 501)
		}},
		"51 keys": {"metadata", func(p *stripe.CheckoutSessionParams) {
			for i := range 49 {
				p.Metadata["key"+strconv.Itoa(i)] = "v"
			}
		}},
		"custom text": {"custom_text[submit][message]", func(p *stripe.CheckoutSessionParams) {
			p.CustomText = &stripe.CheckoutSessionCustomTextParams{
				Submit: &stripe.CheckoutSessionCustomTextSubmitParams{Message: str(strings.Repeat("a", 1201))}}
		}},
	}
	for name, c := range cases {
		change = c.change
		_, err := w.payments.Book(t.Context(), w.request(0))
		require.ErrorIs(t, err, payments.ErrParameter, name)
		require.ErrorIs(t, err, payments.ErrRefused, name)
		require.ErrorContains(t, err, ": "+c.field+" ", name)
		require.Equal(t, "payment_refused", payments.BookResult(err), name)
	}
	require.Empty(t, sent.all())
	var rows int
	require.NoError(t, w.db.QueryRow(`SELECT count(*) FROM booking_platform.payments`).Scan(&rows))
	require.Zero(t, rows)

	change = func(p *stripe.CheckoutSessionParams) {
		p.AllowPromotionCodes = no
		p.AddExtra("line_items[0][price_data][product_data][tax_code]", "txcd_20030000")
		for i := range 48 {
			p.Metadata["key"+strconv.Itoa(i)] = strings.Repeat("é", 500)
		}
	}
	// stripetest knows promotion codes not even as a switch that is off.
	_, err := w.payments.Book(t.Context(), w.request(0))
	require.ErrorIs(t, err, payments.ErrRefused)
	require.NotErrorIs(t, err, payments.ErrParameter)
	require.Len(t, sent.all(), 1)
}

// Only parameters that Stripe has are on the list.
func TestShapeCheckout_ListIsStripes(t *testing.T) {
	t.Parallel()
	schema := stripemock.Description(t).Paths["/v1/checkout/sessions"]["post"].
		RequestBody.Content["application/x-www-form-urlencoded"].Schema
	for _, name := range payments.Shapeable {
		top, rest, nested := strings.Cut(name, "[")
		at := schema.Properties[top]
		require.NotNil(t, at, name)
		for nested {
			var part string
			part, rest, nested = strings.Cut(strings.TrimSuffix(rest, "]"), "][")
			if part == "0" {
				at = at.Items
			} else {
				at = at.Properties[part]
			}
			require.NotNil(t, at, name)
		}
	}
}
