package stripetest

import (
	"encoding/json"
	"maps"
	"time"
)

// ChargeStatus is what has become of a charge: Stripe's status.
type ChargeStatus string

// The statuses of a charge. Only a delayed payment is ever pending.
const (
	ChargePending   ChargeStatus = "pending"
	ChargeSucceeded ChargeStatus = "succeeded"
	ChargeFailed    ChargeStatus = "failed"
)

// Charge is the money of a payment intent, as it was at one moment. Its JSON is
// the object that Stripe's API answers with, without the list of refunds, which
// API versions since 2022-11-15 leave out.
type Charge struct {
	ID              string
	PaymentIntentID string
	SessionID       string
	Amount          int64  // in minor units of Currency
	Currency        string // in lower case
	Status          ChargeStatus

	// AmountRefunded counts refunds from the moment they are made, pending ones
	// too; one that fails or is canceled is taken off again.
	AmountRefunded int64
	Disputed       bool // at any time
	Metadata       map[string]string
	CreatedAt      time.Time

	email   string
	method  string // card or sepa_debit
	failure string // a failed charge's code
}

// Unrefunded is what can still be refunded of a charge that succeeded.
func (c Charge) Unrefunded() int64 { return c.Amount - c.AmountRefunded }

// Refunded is Stripe's refunded: true once nothing is left.
func (c Charge) Refunded() bool { return c.AmountRefunded > 0 && c.Unrefunded() == 0 }

func (c *Charge) snapshot() Charge {
	d := *c
	d.Metadata = maps.Clone(c.Metadata)
	return d
}

// chargeOf returns the charge that has this id, or whose session or payment
// intent has it, or ErrNotFound: also for a session without a payment. Callers
// hold s.mu.
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

// retrieveCharge answers GET /v1/charges/{id}.
func (s *Server) retrieveCharge(c *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	charge, ok := s.charges.byID[c.PathValue("id")]
	if !ok {
		return nil, noSuch("charge", "charge", c.PathValue("id"))
	}
	return charge.snapshot(), nil
}

const failureMessage = "The bank refused the debit."

// MarshalJSON writes the object that Stripe's API answers with.
func (c Charge) MarshalJSON() ([]byte, error) {
	var captured int64
	if c.Status == ChargeSucceeded {
		captured = c.Amount
	}
	outcome := map[string]any{"network_status": "approved_by_network", "reason": nil, "risk_level": "normal",
		"seller_message": "Payment complete.", "type": "authorized"}
	var code, message any
	if c.Status == ChargeFailed {
		code, message = c.failure, failureMessage
		outcome = map[string]any{"network_status": "declined_by_network", "reason": c.failure, "risk_level": "normal",
			"seller_message": failureMessage, "type": "issuer_declined"}
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

// paymentMethodDetails are those of Stripe's test card and test account.
func paymentMethodDetails(method string) map[string]any {
	if method == bankDebit {
		return map[string]any{"type": method, method: map[string]any{"bank_code": "37040044", "branch_code": nil,
			"country": "DE", "fingerprint": nil, "last4": "3000", "mandate": nil}}
	}
	return map[string]any{"type": method, method: map[string]any{"brand": "visa", "country": "US", "exp_month": 12,
		"exp_year": 2034, "fingerprint": nil, "funding": "credit", "last4": "4242", "network": "visa", "wallet": nil}}
}
