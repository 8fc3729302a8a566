package stripetest

import (
	"encoding/json"
	"maps"
	"time"
)

// IntentStatus is what has become of a payment intent: Stripe's status.
type IntentStatus string

// The statuses of a payment intent here: on its way (a delayed payment), paid,
// or failed, so that another payment method would be needed.
const (
	IntentProcessing IntentStatus = "processing"
	IntentSucceeded  IntentStatus = "succeeded"
	IntentFailed     IntentStatus = "requires_payment_method"
)

// PaymentIntent is what a customer set out to pay, as it was at one moment: made
// when a session is completed, not when it is created. Its JSON is the object
// that Stripe's API answers with.
type PaymentIntent struct {
	ID        string
	SessionID string
	ChargeID  string // the latest charge; there is one
	Amount    int64  // in minor units of Currency
	Currency  string // in lower case
	Status    IntentStatus
	Metadata  map[string]string // payment_intent_data[metadata] of the session
	CreatedAt time.Time

	method  string // card or sepa_debit
	failure string // a failed payment's code
}

func (p *PaymentIntent) snapshot() PaymentIntent {
	c := *p
	c.Metadata = maps.Clone(p.Metadata)
	return c
}

// PaymentIntent returns the payment intent with an id of its own or of its
// session or charge, or ErrNotFound.
func (s *Server) PaymentIntent(id string) (PaymentIntent, error) {
	s.lock()
	defer s.mu.Unlock()
	charge, err := s.chargeOf(id)
	if err != nil {
		return PaymentIntent{}, err
	}
	return s.intents.byID[charge.PaymentIntentID].snapshot(), nil
}

// retrieveIntent answers GET /v1/payment_intents/{id}.
func (s *Server) retrieveIntent(c *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	intent, ok := s.intents.byID[c.PathValue("id")]
	if !ok {
		return nil, noSuch("payment_intent", "intent", c.PathValue("id"))
	}
	return intent.snapshot(), nil
}

// MarshalJSON writes the object that Stripe's API answers with.
func (p PaymentIntent) MarshalJSON() ([]byte, error) {
	var received int64
	if p.Status == IntentSucceeded {
		received = p.Amount
	}
	var failed, method any
	if p.Status == IntentFailed {
		failed = map[string]any{"type": "invalid_request_error", "code": p.failure, "charge": p.ChargeID,
			"message": failureMessage}
	} else {
		method = "pm_" + p.ID[len("pi_"):]
	}
	return json.Marshal(map[string]any{
		"id":              p.ID,
		"object":          "payment_intent",
		"livemode":        false,
		"amount":          p.Amount,
		"amount_received": received,
		"currency":        p.Currency,
		"status":          p.Status,
		"latest_charge":   p.ChargeID,
		"metadata":        p.Metadata,
		"created":         p.CreatedAt.Unix(),

		"amount_capturable":    0,
		"amount_details":       map[string]any{"tip": map[string]any{}},
		"capture_method":       "automatic",
		"confirmation_method":  "automatic",
		"client_secret":        p.ID + "_secret_standin",
		"payment_method":       method,
		"payment_method_types": []string{p.method},
		"last_payment_error":   failed,

		"application": nil, "application_fee_amount": nil, "automatic_payment_methods": nil, "canceled_at": nil,
		"cancellation_reason": nil, "customer": nil, "description": nil, "next_action": nil, "on_behalf_of": nil,
		"payment_method_configuration_details": nil, "payment_method_options": map[string]any{}, "processing": nil,
		"receipt_email": nil, "review": nil, "setup_future_usage": nil, "shipping": nil, "statement_descriptor": nil,
		"statement_descriptor_suffix": nil, "transfer_data": nil, "transfer_group": nil,
	})
}
