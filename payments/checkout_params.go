package payments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/form"

	"github.com/booking-platform/booking-platform/booking"
)

// Texts are what the customer reads on Stripe's page; see [Options.Texts]. An empty field
// keeps its default.
type Texts struct {
	// Name is the line item's: by default the resource's name, and the offer's after a
	// comma.
	Name string
	// Description stands below the name: by default the slot's start in English, in the
	// zone of the resource, the size of a party, and the booking's number.
	Description string
	// Submit stands beside the pay button, such as what a cancellation costs; at most
	// 1,200 characters. By default there is none.
	Submit string
	// Locale is a language that Stripe knows, such as "fr"; by default that of the
	// browser.
	Locale string
}

// Stripe's limits (https://docs.stripe.com/api/metadata and
// https://docs.stripe.com/api/checkout/sessions/create).
const (
	maxMetadataKeys  = 50
	maxMetadataKey   = 40
	maxMetadataValue = 500
	maxCustomText    = 1200
)

// parameters is stored as JSON in the payment row. The call to Stripe is made from the
// row alone, so that a repeat sends the same bytes under the same key, whatever the
// replica, its configuration or its version.
type parameters struct {
	// Form is the call's body in Stripe's encoding, without what another attempt may
	// change: the address and expires_at.
	Form string `json:"form"`
	// Email is the customer_email, if any.
	Email string `json:"email,omitempty"`
	// Transfer and Fee report a Connect destination and an application fee, which a
	// refund reverses.
	Transfer bool `json:"transfer,omitempty"`
	Fee      bool `json:"fee,omitempty"`
}

// defaultParams are the parameters of a payment, without expires_at, which the database
// decides.
func (p *Payments) defaultParams(ctx context.Context, id string, b booking.Booking, r booking.Resource) (
	*stripe.CheckoutSessionParams, error) {
	texts, err := p.texts(ctx, b, r)
	if err != nil {
		return nil, err
	}
	metadata := map[string]string{"payment_id": id, "booking_id": b.ID}
	// Stripe would refuse a longer one.
	if rid := p.opts.RequestID(ctx); rid != "" && utf8.RuneCountInString(rid) <= maxMetadataValue {
		metadata["request_id"] = rid
	}
	intent := make(map[string]string, len(metadata))
	for k, v := range metadata {
		intent[k] = v
	}
	description := ""
	if b.Number != "" {
		description = "Booking " + b.Number
	}
	params := &stripe.CheckoutSessionParams{
		Mode:              stripe.String(string(stripe.CheckoutSessionModePayment)),
		ClientReferenceID: stripe.String(id),
		// Stripe replaces the braces, which must not be escaped.
		SuccessURL: stripe.String(p.appURL + withQuery(p.opts.SuccessPath, "session_id="+sessionPlaceholder)),
		CancelURL: stripe.String(p.appURL + withQuery(p.opts.CancelPath,
			"booking="+url.QueryEscape(b.ID)+"&session_id="+sessionPlaceholder)),
		CustomerEmail: optional(b.Customer.Email),
		Locale:        optional(texts.Locale),
		Metadata:      metadata,
		// Refunds and disputes name the PaymentIntent only; its metadata identifies the
		// payment. Stripe's dashboard lists the description.
		PaymentIntentData: &stripe.CheckoutSessionPaymentIntentDataParams{
			Metadata: intent, Description: optional(description)},
		LineItems: []*stripe.CheckoutSessionLineItemParams{{
			Quantity: stripe.Int64(1),
			PriceData: &stripe.CheckoutSessionLineItemPriceDataParams{
				Currency:   stripe.String(b.Amount.Currency),
				UnitAmount: stripe.Int64(b.Amount.Minor),
				// The account may compute taxes by default, and add them to the price by
				// default (https://docs.stripe.com/tax/checkout/automatic-tax-default).
				TaxBehavior: stripe.String(string(stripe.PriceTaxBehaviorInclusive)),
				ProductData: &stripe.CheckoutSessionLineItemPriceDataProductDataParams{
					Name: stripe.String(texts.Name), Description: optional(texts.Description)},
			},
		}},
	}
	if texts.Submit != "" {
		params.CustomText = &stripe.CheckoutSessionCustomTextParams{
			Submit: &stripe.CheckoutSessionCustomTextSubmitParams{Message: stripe.String(texts.Submit)}}
	}
	return params, nil
}

const sessionPlaceholder = "{CHECKOUT_SESSION_ID}"

// withQuery appends a parameter to a path that may have some already.
func withQuery(path, parameter string) string {
	if strings.Contains(path, "?") {
		return path + "&" + parameter
	}
	return path + "?" + parameter
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// texts returns the texts of a payment, defaults included.
func (p *Payments) texts(ctx context.Context, b booking.Booking, r booking.Resource) (Texts, error) {
	zone, err := r.Zone()
	if err != nil {
		return Texts{}, fmt.Errorf("payments: zone of resource %s: %w", r.Slug, err)
	}
	var t Texts
	if p.opts.Texts != nil {
		b.OwnerToken = ""
		t = p.opts.Texts(ctx, b, r)
	}
	if t.Name == "" {
		t.Name = r.Name
		if i := slices.IndexFunc(r.Offers, func(o booking.Offer) bool { return o.Slug == b.Offer }); i >= 0 {
			t.Name += ", " + r.Offers[i].Name
		}
	}
	if t.Description == "" {
		t.Description = b.Start.In(zone).Format("Monday 2 January 2006, 15:04 MST")
		if b.Party > 1 {
			t.Description += ", " + strconv.Itoa(b.Party) + " people"
		}
		if b.Number != "" {
			t.Description += ", booking " + b.Number
		}
	}
	return t, nil
}

// snapshotParams returns the parameters to store for a new payment.
func (p *Payments) snapshotParams(ctx context.Context, id string, b booking.Booking, r booking.Resource) (
	string, error) {
	params, err := p.defaultParams(ctx, id, b, r)
	if err != nil {
		return "", err
	}
	pairs, err := p.shapeParams(ctx, b, params)
	if err != nil {
		return "", err
	}
	var snapshot parameters
	var body form.Values
	customer := slices.ContainsFunc(pairs, func(p pair) bool { return p.key == "customer" })
	for _, field := range pairs {
		switch field.key {
		case paramEmail:
			// Stripe refuses both.
			if !customer {
				snapshot.Email = field.value
			}
			continue
		case "payment_intent_data[transfer_data][destination]":
			snapshot.Transfer = true
		case "payment_intent_data[application_fee_amount]":
			snapshot.Fee = true
		}
		body.Add(field.key, field.value)
	}
	snapshot.Form = body.Encode()
	text, err := json.Marshal(snapshot)
	return string(text), err
}

// pair is one parameter under its flat name, such as line_items[0][quantity].
type pair struct{ key, value string }

// encode returns the parameters as they are sent, in order.
func encode(params *stripe.CheckoutSessionParams) ([]pair, error) {
	var body form.Values
	form.AppendTo(&body, params)
	return decode(body.Encode())
}

func decode(body string) ([]pair, error) {
	var pairs []pair
	if body == "" {
		return nil, nil
	}
	for field := range strings.SplitSeq(body, "&") {
		name, value, _ := strings.Cut(field, "=")
		key, keyErr := url.QueryUnescape(name)
		value, err := url.QueryUnescape(value)
		if err := errors.Join(keyErr, err); err != nil {
			return nil, err
		}
		pairs = append(pairs, pair{key, value})
	}
	return pairs, nil
}

func (p Payment) snapshot() (parameters, error) {
	var snapshot parameters
	err := json.Unmarshal([]byte(p.parameters), &snapshot)
	if err == nil && snapshot.Form == "" {
		err = errors.New("there are none")
	}
	if err != nil {
		return parameters{}, fmt.Errorf("payments: stored parameters of %s: %w", p.ID, err)
	}
	return snapshot, nil
}

// sessionForm returns the call's body, and its idempotency key.
func (p Payment) sessionForm() (body *form.Values, key string, err error) {
	snapshot, err := p.snapshot()
	if err != nil {
		return nil, "", err
	}
	pairs, err := decode(snapshot.Form)
	if err != nil {
		return nil, "", fmt.Errorf("payments: stored parameters of %s: %w", p.ID, err)
	}
	body = &form.Values{}
	for _, field := range pairs {
		body.Add(field.key, field.value)
	}
	if snapshot.Email != "" {
		body.Add(paramEmail, snapshot.Email)
	}
	body.Add(paramExpiresAt, strconv.FormatInt(p.ExpiresAt.Unix(), 10))
	return body, "checkout-" + p.ID + "-" + strconv.Itoa(p.attempt), nil
}

// parametersAfter removes an e-mail address that Stripe refused; its page then asks for
// one.
func (p Payment) parametersAfter(refusal error) (string, error) {
	var se *stripe.Error
	if !errors.As(refusal, &se) || se.Param != paramEmail {
		return p.parameters, nil
	}
	snapshot, err := p.snapshot()
	if err != nil {
		return "", err
	}
	snapshot.Email = ""
	text, err := json.Marshal(snapshot)
	return string(text), err
}
