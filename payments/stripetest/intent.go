package stripetest

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// IntentStatus is a payment intent's status.
type IntentStatus string

// The statuses of a payment intent. It can be paid while it requires a payment method,
// also after a failure, or a confirmation. Only delayed payments are processing.
const (
	IntentRequiresPaymentMethod IntentStatus = "requires_payment_method"
	IntentRequiresConfirmation  IntentStatus = "requires_confirmation"
	IntentProcessing            IntentStatus = "processing"
	IntentSucceeded             IntentStatus = "succeeded"
	IntentCanceled              IntentStatus = "canceled"
)

// PaymentIntent is a copy of a payment intent at one moment, made by the API or when its
// session is completed. Its JSON is Stripe's object.
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

func (p *PaymentIntent) payable() bool {
	return p.Status == IntentRequiresPaymentMethod || p.Status == IntentRequiresConfirmation
}

// PaymentIntent returns the payment intent with this id, or that of this session or
// charge, or ErrNotFound.
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

// ChargeStatus is a charge's status.
type ChargeStatus string

// The statuses of a charge. Only delayed payments are pending.
const (
	ChargePending   ChargeStatus = "pending"
	ChargeSucceeded ChargeStatus = "succeeded"
	ChargeFailed    ChargeStatus = "failed"
)

// Charge is a copy of a charge at one moment. Its JSON is Stripe's object, without
// refunds, as since API version 2022-11-15.
type Charge struct {
	ID              string
	PaymentIntentID string
	SessionID       string
	Amount          int64  // in minor units of Currency
	Currency        string // in lower case
	Status          ChargeStatus

	// AmountRefunded includes pending refunds, not failed or canceled ones.
	AmountRefunded int64
	Disputed       bool // at any time
	Metadata       map[string]string
	CreatedAt      time.Time

	email   string
	method  string // card or sepa_debit
	failure string // a failed charge's code
	message string // of the failure
}

// Unrefunded is what can still be refunded of a charge that succeeded.
func (c Charge) Unrefunded() int64 { return c.Amount - c.AmountRefunded }

// Refunded is Stripe's refunded: nothing is left.
func (c Charge) Refunded() bool { return c.AmountRefunded > 0 && c.Unrefunded() == 0 }

func (c *Charge) snapshot() Charge {
	d := *c
	d.Metadata = maps.Clone(c.Metadata)
	return d
}

// chargeOf takes the id of a charge, session or payment intent; unpaid ones are
// ErrNotFound. Callers hold s.mu.
func (s *Server) chargeOf(id string) (*Charge, error) {
	if sess, ok := s.sessions[id]; ok {
		id = sess.PaymentIntentID
	}
	if intent, ok := s.intents.byID[id]; ok {
		id = intent.ChargeID
	}
	if charge, ok := s.charges.byID[id]; ok {
		return charge, nil
	}
	return nil, ErrNotFound
}

func (s *Server) retrieveCharge(c *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	charge, ok := s.charges.byID[c.PathValue("id")]
	if !ok {
		return nil, noSuch("charge", "charge", c.PathValue("id"))
	}
	return charge.snapshot(), nil
}

// MarshalJSON writes Stripe's object.
func (c Charge) MarshalJSON() ([]byte, error) {
	var captured int64
	if c.Status == ChargeSucceeded {
		captured = c.Amount
	}
	outcome := map[string]any{"network_status": "approved_by_network", "reason": nil, "risk_level": "normal",
		"seller_message": "Payment complete.", "type": "authorized"}
	var code, message any
	if c.Status == ChargeFailed {
		code, message = c.failure, c.message
		outcome = map[string]any{"network_status": "declined_by_network", "reason": c.failure, "risk_level": "normal",
			"seller_message": c.message, "type": "issuer_declined"}
	}
	return json.Marshal(map[string]any{
		"id":              c.ID,
		"object":          "charge",
		"livemode":        false,
		"amount":          c.Amount,
		"amount_captured": captured,
		"amount_refunded": c.AmountRefunded,
		"refunded":        c.Refunded(),
		"captured":        c.Status != ChargeFailed,
		"paid":            c.Status == ChargeSucceeded,
		"status":          c.Status,
		"disputed":        c.Disputed,
		"currency":        c.Currency,
		"payment_intent":  c.PaymentIntentID,
		"metadata":        c.Metadata,
		"created":         c.CreatedAt.Unix(),
		"failure_code":    code,
		"failure_message": message,
		"outcome":         outcome,

		"billing_details":        map[string]any{"address": nil, "email": orNull(c.email), "name": nil, "phone": nil},
		"fraud_details":          map[string]any{},
		"payment_method":         "pm_" + c.PaymentIntentID[len("pi_"):],
		"payment_method_details": paymentMethodDetails(c.method),

		"application": nil, "application_fee": nil, "application_fee_amount": nil, "balance_transaction": nil,
		"calculated_statement_descriptor": nil, "customer": nil, "description": nil, "failure_balance_transaction": nil,
		"on_behalf_of": nil, "receipt_email": nil, "receipt_number": nil, "receipt_url": nil, "review": nil,
		"shipping":        nil,
		"source_transfer": nil, "statement_descriptor": nil, "statement_descriptor_suffix": nil, "transfer_data": nil,
		"transfer_group": nil,
	})
}

func paymentMethodDetails(method string) map[string]any {
	if method == bankDebit {
		return map[string]any{"type": method, method: map[string]any{"bank_code": "37040044", "branch_code": nil,
			"country": "DE", "fingerprint": nil, "last4": "3000", "mandate": nil}}
	}
	return map[string]any{"type": method, method: map[string]any{"brand": "visa", "country": "US", "exp_month": 12,
		"exp_year": 2034, "fingerprint": nil, "funding": "credit", "last4": "4242", "network": "visa", "wallet": nil}}
}

// Money is what was moved in one currency, in its minor units.
type Money struct {
	Captured int64 // by charges that succeeded, before refunds and disputes
	Refunded int64 // by refunds that succeeded
	Pending  int64 // by refunds that are pending
	Disputed int64 // withdrawn by disputes that are open or lost
}

// Kept is what remains of the captured amount.
func (m Money) Kept() int64 { return m.Captured - m.Refunded - m.Pending - m.Disputed }

// Balance returns the money by currency, in lower case, for comparison with a program's
// books. It includes forgotten charges and refunds; delayed payments count once settled.
func (s *Server) Balance() map[string]Money {
	s.lock()
	defer s.mu.Unlock()
	return maps.Clone(s.balance)
}

// Callers hold s.mu.
func (s *Server) book(currency string, change func(*Money)) {
	m := s.balance[currency]
	change(&m)
	s.balance[currency] = m
}

// Charges returns the newest 10,000 charges, newest first.
func (s *Server) Charges() []Charge {
	s.lock()
	defer s.mu.Unlock()
	all := make([]Charge, 0, len(s.charges.order))
	for c := range s.charges.newestFirst() {
		all = append(all, c.snapshot())
	}
	return all
}
