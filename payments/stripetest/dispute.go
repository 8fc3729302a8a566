package stripetest

import (
	"encoding/json"
	"fmt"
	"time"
)

// DisputeStatus is a dispute's status.
type DisputeStatus string

// The statuses of a dispute here. EndDispute accepts any other too.
const (
	DisputeOpen      DisputeStatus = "needs_response"
	DisputeWon       DisputeStatus = "won"
	DisputeLost      DisputeStatus = "lost"
	DisputePrevented DisputeStatus = "prevented"

	// An inquiry withdraws no money, and becomes a dispute or is closed.
	InquiryOpen   DisputeStatus = "warning_needs_response"
	InquiryClosed DisputeStatus = "warning_closed"
)

// Dispute is a copy of a dispute at one moment. Its JSON is Stripe's object.
type Dispute struct {
	ID              string
	ChargeID        string
	PaymentIntentID string
	SessionID       string
	Amount          int64  // in minor units of Currency
	Currency        string // in lower case
	Status          DisputeStatus
	Withdrawn       bool // the amount was taken from the balance
	Closed          bool
	CreatedAt       time.Time

	method string
}

// NewDispute is the input of OpenDispute.
type NewDispute struct {
	Amount  int64 // in minor units; 0 means all that is left of the charge
	Inquiry bool  // withdraws no money until EscalateDispute
}

// Dispute disputes all that is left of a charge: OpenDispute with the zero NewDispute.
func (s *Server) Dispute(id string) (Dispute, error) { return s.OpenDispute(id, NewDispute{}) }

// OpenDispute disputes a payment or a part of it. The amount is withdrawn, the charge
// cannot be refunded meanwhile, and charge.dispute.created and .funds_withdrawn are sent.
// An inquiry withdraws nothing, leaves the charge refundable and sends the first only. No
// delivery is waited for. id is that of the session, payment intent or charge.
//
// It returns ErrNotFound, or an error if the amount is more than is left after refunds
// and other disputes.
func (s *Server) OpenDispute(id string, wanted NewDispute) (Dispute, error) {
	s.lock()
	defer s.mu.Unlock()
	charge, err := s.chargeOf(id)
	if err != nil {
		return Dispute{}, err
	}
	left := charge.Unrefunded() - s.withdrawn(charge.ID)
	amount := wanted.Amount
	if amount == 0 {
		amount = left
	}
	if charge.Status != ChargeSucceeded || amount <= 0 || amount > left {
		return Dispute{}, fmt.Errorf("stripetest: charge %s cannot be disputed: %s, %d left, disputed: %t",
			charge.ID, charge.Status, left, charge.Disputed)
	}
	d := &Dispute{
		ID:              newID("dp_1", 23),
		ChargeID:        charge.ID,
		PaymentIntentID: charge.PaymentIntentID,
		SessionID:       charge.SessionID,
		Amount:          amount,
		Currency:        charge.Currency,
		Status:          DisputeOpen,
		CreatedAt:       s.now().UTC(),
		method:          charge.method,
	}
	if wanted.Inquiry {
		d.Status = InquiryOpen
	}
	charge.Disputed = true
	s.disputes.add(d.ID, d, s.keep)
	s.emit("charge.dispute.created", d.SessionID, d.ID, d, nil)
	if !wanted.Inquiry {
		s.withdraw(d)
	}
	return *d, nil
}

// EscalateDispute turns an open inquiry, by its id, into a dispute: the amount is
// withdrawn, and charge.dispute.updated and .funds_withdrawn are sent. It returns
// ErrNotFound, or the dispute and ErrNotPending.
func (s *Server) EscalateDispute(id string) (Dispute, error) {
	s.lock()
	defer s.mu.Unlock()
	d, ok := s.disputes.byID[id]
	switch {
	case !ok:
		return Dispute{}, ErrNotFound
	case d.Status != InquiryOpen:
		return *d, ErrNotPending
	}
	d.Status = DisputeOpen
	s.emit("charge.dispute.updated", d.SessionID, d.ID, d, nil)
	// Refunds made meanwhile are not withdrawn again.
	if charge, ok := s.charges.byID[d.ChargeID]; ok {
		d.Amount = min(d.Amount, charge.Unrefunded()-s.withdrawn(charge.ID))
	}
	if d.Amount > 0 {
		s.withdraw(d)
	}
	return *d, nil
}

// CloseDispute ends a dispute as won or lost, see EndDispute. id is the dispute's, or as
// for OpenDispute for its newest open one. It returns ErrNotFound, or the newest dispute
// and ErrNotPending.
func (s *Server) CloseDispute(id string, won bool) (Dispute, error) {
	status := DisputeLost
	if won {
		status = DisputeWon
	}
	return s.EndDispute(id, status)
}

// EndDispute closes a dispute, identified as for CloseDispute, with any status of
// Stripe's, and sends charge.dispute.closed. Unless lost, the money is reinstated,
// charge.dispute.funds_reinstated is sent and the charge can be refunded again. A lost
// dispute can be ended once more as won, as banks reverse decisions.
func (s *Server) EndDispute(id string, status DisputeStatus) (Dispute, error) {
	s.lock()
	defer s.mu.Unlock()
	d, err := s.disputeOf(id)
	if err != nil {
		return Dispute{}, err
	}
	reversed := d.Status == DisputeLost && status == DisputeWon && d.ID == id
	if d.Closed && !reversed {
		return *d, ErrNotPending
	}
	d.Status, d.Closed = status, true
	s.emit("charge.dispute.closed", d.SessionID, d.ID, d, nil)
	if d.Withdrawn && status != DisputeLost {
		d.Withdrawn = false
		s.book(d.Currency, func(m *Money) { m.Disputed -= d.Amount })
		s.emit("charge.dispute.funds_reinstated", d.SessionID, d.ID, d, nil)
	}
	return *d, nil
}

// Disputes returns the newest 10,000 disputes, newest first.
func (s *Server) Disputes() []Dispute {
	s.lock()
	defer s.mu.Unlock()
	all := make([]Dispute, 0, len(s.disputes.order))
	for d := range s.disputes.newestFirst() {
		all = append(all, *d)
	}
	return all
}

// Callers hold s.mu.
func (s *Server) withdraw(d *Dispute) {
	d.Withdrawn = true
	s.book(d.Currency, func(m *Money) { m.Disputed += d.Amount })
	s.emit("charge.dispute.funds_withdrawn", d.SessionID, d.ID, d, nil)
}

// disputeOf takes a dispute's id, or as OpenDispute for the newest, open ones first.
// Callers hold s.mu.
func (s *Server) disputeOf(id string) (*Dispute, error) {
	if d, ok := s.disputes.byID[id]; ok {
		return d, nil
	}
	charge, err := s.chargeOf(id)
	if err != nil {
		return nil, err
	}
	var newest *Dispute
	for d := range s.disputes.newestFirst() {
		if d.ChargeID == charge.ID && (newest == nil || newest.Closed && !d.Closed) {
			newest = d
		}
	}
	if newest == nil {
		return nil, ErrNotFound
	}
	return newest, nil
}

// Callers hold s.mu.
func (s *Server) withdrawn(charge string) int64 {
	var sum int64
	for d := range s.disputes.newestFirst() {
		if d.ChargeID == charge && d.Withdrawn {
			sum += d.Amount
		}
	}
	return sum
}

// refundable is false while a dispute, not an inquiry, is open, and after lost ones took
// everything. Callers hold s.mu.
func (s *Server) refundable(charge *Charge) bool {
	for d := range s.disputes.newestFirst() {
		if d.ChargeID == charge.ID && !d.Closed && d.Status != InquiryOpen {
			return false
		}
	}
	taken := s.withdrawn(charge.ID)
	return taken == 0 || taken < charge.Unrefunded()
}

var disputeListParameters = setOf("charge", "created[gte]", "expand[]", "limit", "payment_intent", "starting_after")

func (s *Server) listDisputes(c *call) (any, error) {
	charge, intent := c.form.get("charge"), c.form.get("payment_intent")
	var since int64
	if c.form.has("created[gte]") {
		var err error
		if since, err = c.form.integer("created[gte]", 0, 1<<40); err != nil {
			return nil, err
		}
	}
	s.lock()
	defer s.mu.Unlock()
	return page(c, "dispute", s.disputes.order, func(id string) (Dispute, bool) {
		d := s.disputes.byID[id]
		return *d, (charge == "" || d.ChargeID == charge) && (intent == "" || d.PaymentIntentID == intent) &&
			d.CreatedAt.Unix() >= since
	})
}

func (s *Server) retrieveDispute(c *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	d, ok := s.disputes.byID[c.PathValue("id")]
	if !ok {
		return nil, noSuch("dispute", "dispute", c.PathValue("id"))
	}
	return *d, nil
}

// MarshalJSON writes Stripe's object.
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
		"is_charge_refundable":       !d.Withdrawn,
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

var evidenceNames = []string{
	"access_activity_log", "billing_address", "cancellation_policy", "cancellation_policy_disclosure",
	"cancellation_rebuttal",
	"customer_communication", "customer_email_address", "customer_name", "customer_purchase_ip", "customer_signature",
	"duplicate_charge_documentation", "duplicate_charge_explanation", "duplicate_charge_id", "product_description",
	"receipt",
	"refund_policy", "refund_policy_disclosure", "refund_refusal_explanation", "service_date", "service_documentation",
	"shipping_address", "shipping_carrier", "shipping_date", "shipping_documentation", "shipping_tracking_number",
	"uncategorized_file", "uncategorized_text",
}
