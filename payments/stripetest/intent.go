package stripetest

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// IntentStatus is Stripe's status of a payment intent.
type IntentStatus string

// The statuses of a payment intent. It can be paid while it requires a payment method,
// also after a failure, or a confirmation. It is processing only for a delayed payment.
const (
	IntentRequiresPaymentMethod IntentStatus = "requires_payment_method"
	IntentRequiresConfirmation  IntentStatus = "requires_confirmation"
	IntentProcessing            IntentStatus = "processing"
	IntentSucceeded             IntentStatus = "succeeded"
	IntentCanceled              IntentStatus = "canceled"
)

// PaymentIntent is a copy of a payment intent at one moment. It is created by the API, or
// when its session is completed. Its JSON is Stripe's object.
type PaymentIntent struct {
	ID        string
	SessionID string // empty if the API created it
	ChargeID  string // the latest charge, or empty
	Amount    int64  // in minor units of Currency
	Currency  string // in lower case
	Status    IntentStatus
	Metadata  map[string]string // payment_intent_data[metadata] of a session
	CreatedAt time.Time

	paymentMethodTypes []string
	paymentMethod      string // given, but not confirmed
	automaticMethods   bool
	captureMethod      string // automatic if empty
	description        string
	receiptEmail       string
	failure            *Charge // the failed charge, until the next attempt
	canceledAt         time.Time
	cancellationReason string
}

func (p *PaymentIntent) snapshot() PaymentIntent {
	c := *p
	c.Metadata = maps.Clone(p.Metadata)
	c.paymentMethodTypes = slices.Clone(p.paymentMethodTypes)
	if p.failure != nil {
		failed := *p.failure
		c.failure = &failed
	}
	return c
}

// payable reports whether the intent can be confirmed or canceled.
func (p *PaymentIntent) payable() bool {
	return p.Status == IntentRequiresPaymentMethod || p.Status == IntentRequiresConfirmation
}

// PaymentIntent returns the payment intent with this id or of this session or charge, or
// ErrNotFound.
func (s *Server) PaymentIntent(id string) (PaymentIntent, error) {
	s.lock()
	defer s.mu.Unlock()
	if intent, ok := s.intents.byID[id]; ok {
		return intent.snapshot(), nil
	}
	charge, err := s.chargeOf(id)
	if err != nil {
		return PaymentIntent{}, err
	}
	return s.intents.byID[charge.PaymentIntentID].snapshot(), nil
}

// PaymentIntents returns the newest 10,000 payment intents, newest first.
func (s *Server) PaymentIntents() []PaymentIntent {
	s.lock()
	defer s.mu.Unlock()
	all := make([]PaymentIntent, 0, len(s.intents.order))
	for intent := range s.intents.newestFirst() {
		all = append(all, intent.snapshot())
	}
	return all
}

func (s *Server) retrieveIntent(c *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	intent, ok := s.intents.byID[c.PathValue("id")]
	if !ok {
		return nil, noSuchIntent(c)
	}
	return intent.snapshot(), nil
}

func noSuchIntent(c *call) error { return noSuch("payment_intent", "intent", c.PathValue("id")) }

var intentListParameters = setOf("created", "created[gt]", "created[gte]", "created[lt]", "created[lte]", "expand[]",
	"limit", "starting_after")

func (s *Server) listIntents(c *call) (any, error) {
	within, err := createdWithin(c.form)
	if err != nil {
		return nil, err
	}
	s.lock()
	defer s.mu.Unlock()
	return page(c, "payment_intent", s.intents.order, func(id string) (PaymentIntent, bool) {
		intent := s.intents.byID[id]
		return intent.snapshot(), within(intent.CreatedAt.Unix())
	})
}

// MarshalJSON writes Stripe's object.
func (p PaymentIntent) MarshalJSON() ([]byte, error) {
	var received int64
	if p.Status == IntentSucceeded {
		received = p.Amount
	}
	var failed, method, canceled, automatic any
	if p.failure != nil {
		kind, decline := "card_error", any("generic_decline")
		if p.failure.method == bankDebit {
			kind, decline = "invalid_request_error", nil
		}
		failed = map[string]any{"type": kind, "code": p.failure.failure, "charge": p.failure.ID,
			"message": p.failure.message}
		if decline != nil {
			failed.(map[string]any)["decline_code"] = decline
		}
	}
	switch p.Status {
	case IntentProcessing, IntentSucceeded:
		method = "pm_" + p.ID[len("pi_"):]
	case IntentRequiresConfirmation:
		method = p.paymentMethod
	}
	if !p.canceledAt.IsZero() {
		canceled = p.canceledAt.Unix()
	}
	if p.automaticMethods {
		automatic = map[string]any{"enabled": true, "allow_redirects": "always"}
	}
	capture := p.captureMethod
	if capture == "" {
		capture = "automatic"
	}
	return json.Marshal(map[string]any{
		"id":              p.ID,
		"object":          "payment_intent",
		"livemode":        false,
		"amount":          p.Amount,
		"amount_received": received,
		"currency":        p.Currency,
		"status":          p.Status,
		"latest_charge":   orNull(p.ChargeID),
		"metadata":        p.Metadata,
		"created":         p.CreatedAt.Unix(),

		"amount_capturable":         0,
		"amount_details":            map[string]any{"tip": map[string]any{}},
		"automatic_payment_methods": automatic,
		"canceled_at":               canceled,
		"cancellation_reason":       orNull(p.cancellationReason),
		"capture_method":            capture,
		"confirmation_method":       "automatic",
		"client_secret":             p.ID + "_secret_standin",
		"description":               orNull(p.description),
		"payment_method":            method,
		"payment_method_types":      p.paymentMethodTypes,
		"last_payment_error":        failed,
		"receipt_email":             orNull(p.receiptEmail),

		"application": nil, "application_fee_amount": nil, "customer": nil, "next_action": nil, "on_behalf_of": nil,
		"payment_method_configuration_details": nil, "payment_method_options": map[string]any{}, "processing": nil,
		"review": nil, "setup_future_usage": nil, "shipping": nil, "statement_descriptor": nil,
		"statement_descriptor_suffix": nil, "transfer_data": nil, "transfer_group": nil,
	})
}
