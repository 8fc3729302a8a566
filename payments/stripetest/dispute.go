package stripetest

import (
	"encoding/json"
	"fmt"
	"time"
)

// DisputeStatus is what has become of a dispute: Stripe's status.
type DisputeStatus string

// The statuses of a dispute here. EndDispute takes any other as well, for statuses that
// Stripe adds later.
const (
	DisputeOpen      DisputeStatus = "needs_response"
	DisputeWon       DisputeStatus = "won"
	DisputeLost      DisputeStatus = "lost"
	DisputePrevented DisputeStatus = "prevented"

	// An inquiry takes no money, and becomes a dispute or is closed.
	InquiryOpen   DisputeStatus = "warning_needs_response"
	InquiryClosed DisputeStatus = "warning_closed"
)

// Dispute is one dispute of a charge, as it was at one moment. A charge can have
// several. Its JSON is the object that events carry and the API answers with.
type Dispute struct {
	ID              string
	ChargeID        string
	PaymentIntentID string
	SessionID       string
	Amount          int64  // in minor units of Currency
	Currency        string // in lower case
	Status          DisputeStatus
	Withdrawn       bool // the amount is out of the balance
	Closed          bool
	CreatedAt       time.Time

	method string
}

// NewDispute says what OpenDispute opens.
type NewDispute struct {
	Amount  int64 // in minor units; 0 is all that is left of the charge
	Inquiry bool  // takes no money, until EscalateDispute
}

// Dispute opens a dispute about all that is left of a charge: OpenDispute with
// the zero NewDispute.
func (s *Server) Dispute(id string) (Dispute, error) { return s.OpenDispute(id, NewDispute{}) }

// OpenDispute does what the customer's bank does when the customer disputes a
// payment, or a part of it: the amount is taken back, the charge cannot be
// refunded while that lasts, and charge.dispute.created and
// charge.dispute.funds_withdrawn go out. An inquiry takes nothing, leaves the
// charge refundable, and makes charge.dispute.created alone. They are not waited
// for. The id is that of the session, the payment intent or the charge.
//
// It returns ErrNotFound, and an error for an amount that is more than what was
// neither refunded nor taken back.
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

// EscalateDispute makes a dispute of an open inquiry: its money is taken back,
// and charge.dispute.updated and charge.dispute.funds_withdrawn go out. The id is
// the dispute's. It returns ErrNotFound, or the dispute and ErrNotPending.
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
	// What was refunded meanwhile is not taken as well.
	if charge, ok := s.charges.byID[d.ChargeID]; ok {
		d.Amount = min(d.Amount, charge.Unrefunded()-s.withdrawn(charge.ID))
	}
	if d.Amount > 0 {
		s.withdraw(d)
	}
	return *d, nil
}

// CloseDispute ends the newest open dispute of a charge: EndDispute, won or lost.
// The id is the dispute's, or the charge's as for OpenDispute. It returns
// ErrNotFound, or the newest dispute and ErrNotPending when none is open.
func (s *Server) CloseDispute(id string, won bool) (Dispute, error) {
	status := DisputeLost
	if won {
		status = DisputeWon
	}
	return s.EndDispute(id, status)
}

// EndDispute closes a dispute, named as for CloseDispute, with a status of
// Stripe's: charge.dispute.closed goes out. Unless it is lost, the money that was
// taken comes back, charge.dispute.funds_reinstated goes out too, and the charge
// can be refunded again. A lost dispute may be ended once more as won, as happens
// when a bank reverses its decision.
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

// Disputes returns all disputes, newest first, the newest 10,000 of them.
func (s *Server) Disputes() []Dispute {
	s.lock()
	defer s.mu.Unlock()
	all := make([]Dispute, 0, len(s.disputes.order))
	for d := range s.disputes.newestFirst() {
		all = append(all, *d)
	}
	return all
}

// withdraw takes a dispute's money. Callers hold s.mu.
func (s *Server) withdraw(d *Dispute) {
	d.Withdrawn = true
	s.book(d.Currency, func(m *Money) { m.Disputed += d.Amount })
	s.emit("charge.dispute.funds_withdrawn", d.SessionID, d.ID, d, nil)
}

// disputeOf finds a dispute by its own id, or the newest of a charge: an open one
// before those that are closed. Callers hold s.mu.
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

// withdrawn is what disputes have taken of a charge. Callers hold s.mu.
func (s *Server) withdrawn(charge string) int64 {
	var sum int64
	for d := range s.disputes.newestFirst() {
		if d.ChargeID == charge && d.Withdrawn {
			sum += d.Amount
		}
	}
	return sum
}

// refundable tells whether Stripe refunds a charge as far as its disputes go: none
// but inquiries is open, and what was lost is not all there was. Callers hold s.mu.
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

// listDisputes answers GET /v1/disputes, newest first.
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

// retrieveDispute answers GET /v1/disputes/{id}.
func (s *Server) retrieveDispute(c *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	d, ok := s.disputes.byID[c.PathValue("id")]
	if !ok {
		return nil, noSuch("dispute", "dispute", c.PathValue("id"))
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

// evidenceNames are what a merchant could answer a dispute with: here, nothing.
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
