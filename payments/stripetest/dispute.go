package stripetest

import (
	"encoding/json"
	"fmt"
	"time"
)

// DisputeStatus is what has become of a dispute: Stripe's status.
type DisputeStatus string

// The statuses of a dispute here.
const (
	DisputeOpen DisputeStatus = "needs_response"
	DisputeWon  DisputeStatus = "won"
	DisputeLost DisputeStatus = "lost"
)

// Dispute is a charge whose money the customer's bank has taken back, as it was
// at one moment. Its JSON is the object that events carry.
type Dispute struct {
	ID              string
	ChargeID        string
	PaymentIntentID string
	SessionID       string
	Amount          int64  // what was not refunded by then, in minor units of Currency
	Currency        string // in lower case
	Status          DisputeStatus
	CreatedAt       time.Time

	method string
}

// Dispute does what the customer's bank does when the customer disputes a
// payment: what has not been refunded of it is taken back, the charge cannot be
// refunded while that lasts, and charge.dispute.created and
// charge.dispute.funds_withdrawn go out. They are not waited for. The id is that
// of the session, the payment intent or the charge.
//
// It returns ErrNotFound, and an error for a charge without money left or with a
// dispute already.
func (s *Server) Dispute(id string) (Dispute, error) {
	s.lock()
	defer s.mu.Unlock()
	charge, err := s.chargeOf(id)
	if err != nil {
		return Dispute{}, err
	}
	if charge.Status != ChargeSucceeded || charge.Unrefunded() == 0 || charge.Disputed {
		return Dispute{}, fmt.Errorf("stripetest: charge %s cannot be disputed: %s, %d left, disputed: %t",
			charge.ID, charge.Status, charge.Unrefunded(), charge.Disputed)
	}
	d := &Dispute{
		ID:              newID("dp_1", 23),
		ChargeID:        charge.ID,
		PaymentIntentID: charge.PaymentIntentID,
		SessionID:       charge.SessionID,
		Amount:          charge.Unrefunded(),
		Currency:        charge.Currency,
		Status:          DisputeOpen,
		CreatedAt:       s.now().UTC(),
		method:          charge.method,
	}
	charge.Disputed = true
	s.disputes.add(charge.ID, d, s.keep)
	s.book(d.Currency, func(m *Money) { m.Disputed += d.Amount })
	s.emit("charge.dispute.created", d.SessionID, d.ID, d, nil)
	s.emit("charge.dispute.funds_withdrawn", d.SessionID, d.ID, d, nil)
	return *d, nil
}

// CloseDispute ends the dispute of a charge, named as for Dispute. Won, its money
// comes back; charge.dispute.closed and charge.dispute.funds_reinstated go out,
// and the charge can be refunded again. Lost, the money stays away, and only
// charge.dispute.closed goes out. It returns ErrNotFound, or the dispute and
// ErrNotPending when it is closed already.
func (s *Server) CloseDispute(id string, won bool) (Dispute, error) {
	s.lock()
	defer s.mu.Unlock()
	charge, err := s.chargeOf(id)
	if err != nil {
		return Dispute{}, err
	}
	d, ok := s.disputes.byID[charge.ID]
	switch {
	case !ok:
		return Dispute{}, ErrNotFound
	case d.Status != DisputeOpen:
		return *d, ErrNotPending
	case !won:
		d.Status = DisputeLost
		s.emit("charge.dispute.closed", d.SessionID, d.ID, d, nil)
	default:
		d.Status = DisputeWon
		s.book(d.Currency, func(m *Money) { m.Disputed -= d.Amount })
		s.emit("charge.dispute.closed", d.SessionID, d.ID, d, nil)
		s.emit("charge.dispute.funds_reinstated", d.SessionID, d.ID, d, nil)
	}
	return *d, nil
}

// MarshalJSON writes the object that events carry.
func (d Dispute) MarshalJSON() ([]byte, error) {
	evidence := map[string]any{"enhanced_evidence": map[string]any{}}
	for _, name := range evidenceNames {
		evidence[name] = nil
	}
	object := map[string]any{
		"id":                         d.ID,
		"object":                     "dispute",
		"livemode":                   false,
		"amount":                     d.Amount,
		"currency":                   d.Currency,
		"charge":                     d.ChargeID,
		"payment_intent":             d.PaymentIntentID,
		"status":                     d.Status,
		"reason":                     "fraudulent",
		"created":                    d.CreatedAt.Unix(),
		"metadata":                   map[string]any{},
		"balance_transactions":       []any{},
		"is_charge_refundable":       d.Status == DisputeWon,
		"enhanced_eligibility_types": []any{},
		"evidence":                   evidence,
		"evidence_details": map[string]any{"due_by": d.CreatedAt.Add(7 * 24 * time.Hour).Unix(), "has_evidence": false,
			"past_due": false, "submission_count": 0, "enhanced_eligibility": map[string]any{}},
	}
	if d.method == card {
		object["payment_method_details"] = map[string]any{"type": card, card: map[string]any{"brand": "visa",
			"case_type": "chargeback", "network": "visa", "network_reason_code": "10.4"}}
	}
	return json.Marshal(object)
}

// evidenceNames are what a merchant could answer a dispute with: here, nothing.
var evidenceNames = []string{
	"access_activity_log", "billing_address", "cancellation_policy", "cancellation_policy_disclosure", "cancellation_rebuttal",
	"customer_communication", "customer_email_address", "customer_name", "customer_purchase_ip", "customer_signature",
	"duplicate_charge_documentation", "duplicate_charge_explanation", "duplicate_charge_id", "product_description", "receipt",
	"refund_policy", "refund_policy_disclosure", "refund_refusal_explanation", "service_date", "service_documentation",
	"shipping_address", "shipping_carrier", "shipping_date", "shipping_documentation", "shipping_tracking_number",
	"uncategorized_file", "uncategorized_text",
}
