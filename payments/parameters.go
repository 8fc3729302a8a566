package payments

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"unicode/utf8"

	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/booking"
)

// parameters is the part of a Checkout Session that is frozen as JSON in the payment row;
// amount, currency and the end are columns of it. Everything that reaches Stripe is made
// from the row alone, so that a repeat, on whichever replica and after whichever change
// of configuration, sends the same bytes under the same key.
type parameters struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Email       string `json:"email,omitempty"`
	SuccessURL  string `json:"success_url"`
	CancelURL   string `json:"cancel_url"`
	RequestID   string `json:"request_id,omitempty"`
}

// maxMetadata is how many characters Stripe takes of a value in metadata.
const maxMetadata = 500

// freeze fixes what the session is going to say. A request id that Stripe would refuse is
// not worth the payment.
func (p *Payments) freeze(b booking.Booking, r booking.Resource, requestID string) (string, error) {
	zone, err := r.Zone()
	if err != nil {
		return "", fmt.Errorf("payments: zone of resource %s: %w", r.Slug, err)
	}
	if utf8.RuneCountInString(requestID) > maxMetadata {
		requestID = ""
	}
	frozen, err := json.Marshal(parameters{
		Name:        r.Name,
		Description: describe(b, b.Start.In(zone).Format("Monday 2 January 2006, 15:04 MST")),
		Email:       b.Customer.Email,
		// The braces are Stripe's template, which it fills in itself; escaped they would
		// stay as they are.
		SuccessURL: p.appURL + "/success?session_id={CHECKOUT_SESSION_ID}",
		CancelURL:  p.appURL + "/cancel?booking=" + url.QueryEscape(b.ID),
		RequestID:  requestID,
	})
	return string(frozen), err
}

func describe(b booking.Booking, when string) string {
	if b.Party == 1 {
		return when
	}
	return when + ", " + strconv.Itoa(b.Party) + " people"
}

func (p Payment) frozen() (parameters, error) {
	var frozen parameters
	if err := json.Unmarshal([]byte(p.parameters), &frozen); err != nil {
		return parameters{}, fmt.Errorf("payments: frozen parameters of %s: %w", p.ID, err)
	}
	return frozen, nil
}

// sessionParams turns a row into the call. The idempotency key is the row's and its
// attempt's.
func (p Payment) sessionParams() (*stripe.CheckoutSessionParams, error) {
	frozen, err := p.frozen()
	if err != nil {
		return nil, err
	}
	metadata := map[string]string{"payment_id": p.ID, "booking_id": p.BookingID}
	if frozen.RequestID != "" {
		metadata["request_id"] = frozen.RequestID
	}
	product := &stripe.CheckoutSessionLineItemPriceDataProductDataParams{Name: stripe.String(frozen.Name)}
	if frozen.Description != "" {
		product.Description = stripe.String(frozen.Description)
	}
	params := &stripe.CheckoutSessionParams{
		Mode:              stripe.String(string(stripe.CheckoutSessionModePayment)),
		ClientReferenceID: stripe.String(p.ID),
		SuccessURL:        stripe.String(frozen.SuccessURL),
		CancelURL:         stripe.String(frozen.CancelURL),
		ExpiresAt:         stripe.Int64(p.ExpiresAt.Unix()),
		Metadata:          metadata,
		// Charges, refunds and disputes name the PaymentIntent only: its metadata lets
		// them find the payment too.
		PaymentIntentData: &stripe.CheckoutSessionPaymentIntentDataParams{Metadata: metadata},
		LineItems: []*stripe.CheckoutSessionLineItemParams{{
			Quantity: stripe.Int64(1),
			PriceData: &stripe.CheckoutSessionLineItemPriceDataParams{
				Currency:    stripe.String(p.Amount.Currency),
				UnitAmount:  stripe.Int64(p.Amount.Minor),
				ProductData: product,
			},
		}},
	}
	if frozen.Email != "" {
		params.CustomerEmail = stripe.String(frozen.Email)
	}
	params.SetIdempotencyKey("checkout-" + p.ID + "-" + strconv.Itoa(p.attempt))
	return params, nil
}
