package stripetest

import (
	"encoding/json"
	"maps"
	"time"
)

// ChargeStatus is Stripe's status of a charge.
type ChargeStatus string

// The statuses of a charge. Only delayed payments are pending.
const (
	ChargePending   ChargeStatus = "pending"
	ChargeSucceeded ChargeStatus = "succeeded"
	ChargeFailed    ChargeStatus = "failed"
)

// Charge is a copy of a charge at one moment. Its JSON is Stripe's object, without the
// list of refunds, as in API versions since 2022-11-15.
type Charge struct {
	ID              string
	PaymentIntentID string
	SessionID       string
	Amount          int64  // in minor units of Currency
	Currency        string // in lower case
	Status          ChargeStatus

	// AmountRefunded includes pending refunds; failed and canceled ones are subtracted
	// again.
	AmountRefunded int64
	Disputed       bool // at any time
	Metadata       map[string]string
	CreatedAt      time.Time

	email   string
	method  string // card or sepa_debit
	failure string // a failed charge's code
	message string // of the failure
}

// Unrefunded is the amount that can still be refunded of a charge that succeeded.
func (c Charge) Unrefunded() int64 { return c.Amount - c.AmountRefunded }

// Refunded reports whether all of the charge was refunded: Stripe's refunded.
func (c Charge) Refunded() bool { return c.AmountRefunded > 0 && c.Unrefunded() == 0 }

func (c *Charge) snapshot() Charge {
	d := *c
	d.Metadata = maps.Clone(c.Metadata)
	return d
}

// chargeOf returns the charge with this id or of this session or payment intent, or
// ErrNotFound, also for an unpaid session. Callers hold s.mu.
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

// Balance returns the money by currency, in lower case, to compare a program's books
// with. It is counted as money moves, and includes charges and refunds that were
// forgotten. A delayed payment counts once settled.
func (s *Server) Balance() map[string]Money {
	s.lock()
	defer s.mu.Unlock()
	return maps.Clone(s.balance)
}

// book changes the balance of one currency. Callers hold s.mu.
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
